import Orders from "./Orders4.svelte";

export function mount(target, props, { hydrate = false } = {}) {
  const component = new Orders({ target, props, hydrate });
  return { set: (changed) => component.$set(changed), unmount: () => component.$destroy() };
}
