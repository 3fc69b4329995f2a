import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { shop } from "../shop.js";
import { Orders } from "./Orders.jsx";

const props = await shop();
if (props) {
  createRoot(document.getElementById("root")).render(
    <StrictMode>
      <Orders {...props} />
    </StrictMode>,
  );
}
