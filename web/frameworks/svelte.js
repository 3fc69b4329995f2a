import { createStore, ofCustomer, ofOrders } from "./store.js";

/** @type {typeof import("./svelte.d.ts").orderStatus} */
export function orderStatus(url, orders, options) {
  return readable(ofOrders(url, orders), options);
}

/** @type {typeof import("./svelte.d.ts").customerOrders} */
export function customerOrders(url, customer, options) {
  return readable(ofCustomer(url, customer), options);
}

function readable(watched, options) {
  return {
    subscribe(run) {
      // One for each component that subscribes.
      const store = createStore(watched, options);
      const update = () => run(store.getSnapshot());
      update();
      // A server subscribes too, but it must open no stream.
      return typeof window === "undefined" ? () => {} : store.subscribe(update);
    },
  };
}
