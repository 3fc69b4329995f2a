import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { orderStore, storeKey } from "./store.js";

/** @type {typeof import("./react.d.ts").useOrderStatus} */
export function useOrderStatus(url, orders, options = {}) {
  const newest = useRef(options);
  // Before the effect in which the store is subscribed to.
  useEffect(() => {
    newest.current = options;
  });
  const key = storeKey(url, orders);
  // Callers write `[id]` and `{ token }`, which are new objects with each rendering.
  const store = useMemo(() => orderStore(url, orders, options), [key]);
  const subscribe = useCallback((render) => store.subscribe(render, () => newest.current), [store]);
  return useSyncExternalStore(subscribe, store.getSnapshot, () => store.initial);
}
