import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import Orders from "../../examples/vue/Orders.vue";
import CustomerOrders from "./CustomerOrders.vue";

export const render = (props) => renderToString(createSSRApp("customer" in props ? CustomerOrders : Orders, props));
