import Orders from "./Orders4.svelte";

export function mount(target, props, { hydrate = false } = {}) {
  let component = new Orders({ target, props, hydrate });
  const set = ({ attempt, ...changed }) => {
    Object.assign(props, changed);
    if (!attempt) return component.$set(changed);
    // As `{#key attempt}` does.
    component.$destroy();
    component = new Orders({ target, props });
  };
  return { set, unmount: () => component.$destroy() };
}
