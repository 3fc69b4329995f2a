import { computed, onMounted, onScopeDispose, shallowRef, toValue, watch } from "vue";

import { createStore, ofCustomer, ofOrders } from "./store.js";

/** @type {typeof import("./vue.d.ts").useOrderStatus} */
export function useOrderStatus(url, orders, options) {
  return useWatched(() => ofOrders(toValue(url), toValue(orders)), options);
}

/** @type {typeof import("./vue.d.ts").useCustomerOrders} */
export function useCustomerOrders(url, customer, options) {
  return useWatched(() => ofCustomer(toValue(url), toValue(customer)), options);
}

function useWatched(watched, options) {
  const snapshot = shallowRef(createStore(watched(), options).initial);
  let unsubscribe;
  const follow = () => {
    const before = unsubscribe;
    const { subscribe, getSnapshot } = createStore(watched(), options);
    const update = () => void (snapshot.value = getSnapshot());
    unsubscribe = subscribe(update);
    update();
    before?.();
  };
  // A server does not mount, so it opens no stream.
  onMounted(() => watch(() => watched().key, follow, { immediate: true }));
  onScopeDispose(() => unsubscribe?.());
  return {
    orders: computed(() => snapshot.value.orders),
    state: computed(() => snapshot.value.state),
    error: computed(() => snapshot.value.error),
    cursor: computed(() => snapshot.value.cursor),
  };
}
