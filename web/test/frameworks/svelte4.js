import CustomerOrders from "./CustomerOrders4.svelte";
import Orders from "./Orders4.svelte";

export function mount(target, props, { hydrate = false } = {}) {
  const Shown = "customer" in props ? CustomerOrders : Orders;
  let component = new Shown({ target, props, hydrate });
  const set = ({ attempt, ...changed }) => {
    Object.assign(props, changed);
    if (!attempt) return component.$set(changed);
    // As `{#key attempt}` does.
    component.$destroy();
    component = new Shown({ target, props });
  };
  return { set, unmount: () => component.$destroy() };
}
