import { createApp, createSSRApp, h, shallowReactive } from "vue";

import Orders from "../../examples/vue/Orders.vue";
import CustomerOrders from "./CustomerOrders.vue";

/** With another `attempt`, the component is mounted again. */
const page = ({ attempt, ...props }) => h("customer" in props ? CustomerOrders : Orders, { key: attempt, ...props });

/** Shows the example's component in an element, or that of a customer. `error` is told what Vue complains about. */
export function mount(target, given, { hydrate = false, error } = {}) {
  const props = shallowReactive({ ...given });
  const app = (hydrate ? createSSRApp : createApp)({ render: () => page(props) });
  app.config.errorHandler = error;
  app.config.warnHandler = error;
  app.mount(target);
  return { set: (changed) => Object.assign(props, changed), unmount: () => app.unmount() };
}
