import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { createStore, ofCustomer, ofOrders } from "./store.js";

/** @type {typeof import("./react.d.ts").useOrderStatus} */
export function useOrderStatus(url, orders, options) {
  return useWatched(ofOrders(url, orders), options);
}

/** @type {typeof import("./react.d.ts").useCustomerOrders} */
export function useCustomerOrders(url, customer, options) {
  return useWatched(ofCustomer(url, customer), options);
}

function useWatched(watched, options = {}) {
  const newest = useRef(options);
  // Before the effect in which the store is subscribed to.
  useEffect(() => {
    newest.current = options;
  });
  // Callers write `[id]` and `{ token }`, which are new objects with each rendering.
  const store = useMemo(() => createStore(watched, options), [watched.key]);
  const subscribe = useCallback((render) => store.subscribe(render, () => newest.current), [store]);
  return useSyncExternalStore(subscribe, store.getSnapshot, () => store.initial);
}
