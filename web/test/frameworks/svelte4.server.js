import Orders from "./Orders4.svelte";

export const render = (props) => Orders.render(props).html;
