import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import Orders from "../../examples/vue/Orders.vue";

export const render = (props) => renderToString(createSSRApp(Orders, props));
