import { hydrate as hydrateComponent, mount as mountComponent, unmount } from "svelte";

import Props from "./Props.svelte";

/** Shows the example's component in an element. Svelte complains on the console. */
export function mount(target, given, { hydrate = false } = {}) {
  let set;
  const props = { given, expose: (change) => (set = change) };
  const component = (hydrate ? hydrateComponent : mountComponent)(Props, { target, props });
  return { set, unmount: () => void unmount(component) };
}
