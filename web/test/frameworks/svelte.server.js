import { render as renderComponent } from "svelte/server";

import Props from "./Props.svelte";

export const render = (given) => renderComponent(Props, { props: { given, expose() {} } }).body;
