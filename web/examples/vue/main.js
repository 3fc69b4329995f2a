import { createApp } from "vue";

import { shop } from "../shop.js";
import Orders from "./Orders.vue";

const props = await shop();
if (props) createApp(Orders, props).mount("#root");
