import { StrictMode } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";

import { Orders } from "../../examples/react/Orders.jsx";
import { CustomerOrders } from "./CustomerOrders.jsx";

/** With another `attempt`, the component is mounted again. */
const page = ({ attempt, ...props }) => (
  <StrictMode>{"customer" in props ? <CustomerOrders key={attempt} {...props} /> : <Orders key={attempt} {...props} />}</StrictMode>
);

/** Shows the example's component in an element, or that of a customer. `error` is told what React complains about. */
export function mount(target, props, { hydrate = false, error } = {}) {
  const options = { onRecoverableError: error, onUncaughtError: error };
  const root = hydrate ? hydrateRoot(target, page(props), options) : createRoot(target, options);
  if (!hydrate) root.render(page(props));
  return { set: (changed) => root.render(page((props = { ...props, ...changed }))), unmount: () => root.unmount() };
}
