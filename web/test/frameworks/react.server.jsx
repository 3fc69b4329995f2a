import { renderToString } from "react-dom/server";

import { Orders } from "../../examples/react/Orders.jsx";

export const render = (props) => renderToString(<Orders {...props} />);
