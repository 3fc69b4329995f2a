import { mount } from "svelte";

import { shop } from "../shop.js";
import Orders from "./Orders.svelte";

const props = await shop();
if (props) mount(Orders, { target: document.getElementById("root"), props });
