import { mount } from "svelte";

import { shop } from "../shop.js";
import Orders from "./Orders.svelte";

mount(Orders, { target: document.getElementById("root"), props: await shop() });
