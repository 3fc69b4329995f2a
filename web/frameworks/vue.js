import { computed, onMounted, onScopeDispose, shallowRef, toValue, watch } from "vue";

import { orderStore, storeKey } from "./store.js";

/** @type {typeof import("./vue.d.ts").useOrderStatus} */
export function useOrderStatus(url, orders, options = {}) {
  const store = () => orderStore(toValue(url), toValue(orders), options);
  const snapshot = shallowRef(store().initial);
  let unsubscribe;
  const follow = () => {
    const before = unsubscribe;
    const { subscribe, getSnapshot } = store();
    const update = () => void (snapshot.value = getSnapshot());
    unsubscribe = subscribe(update);
    update();
    before?.();
  };
  // A server does not mount, so it opens no stream.
  onMounted(() => watch(() => storeKey(toValue(url), toValue(orders)), follow, { immediate: true }));
  onScopeDispose(() => unsubscribe?.());
  return {
    orders: computed(() => snapshot.value.orders),
    state: computed(() => snapshot.value.state),
    error: computed(() => snapshot.value.error),
    cursor: computed(() => snapshot.value.cursor),
  };
}
