import { createApp } from "vue";

import { shop } from "../shop.js";
import Orders from "./Orders.vue";

createApp(Orders, await shop()).mount("#root");
