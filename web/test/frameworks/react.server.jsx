import { renderToString } from "react-dom/server";

import { Orders } from "../../examples/react/Orders.jsx";
import { CustomerOrders } from "./CustomerOrders.jsx";

export const render = (props) => renderToString("customer" in props ? <CustomerOrders {...props} /> : <Orders {...props} />);
