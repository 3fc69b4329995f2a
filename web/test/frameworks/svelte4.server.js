import CustomerOrders from "./CustomerOrders4.svelte";
import Orders from "./Orders4.svelte";

export const render = (props) => ("customer" in props ? CustomerOrders : Orders).render(props).html;
