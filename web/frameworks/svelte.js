import { orderStore } from "./store.js";

/** @type {typeof import("./svelte.d.ts").orderStatus} */
export function orderStatus(url, orders, options = {}) {
  return {
    subscribe(run) {
      // One for each component that subscribes.
      const store = orderStore(url, orders, options);
      const update = () => run(store.getSnapshot());
      update();
      // A server subscribes too, but it must open no stream.
      return typeof window === "undefined" ? () => {} : store.subscribe(update);
    },
  };
}
