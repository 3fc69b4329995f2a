/**
 * The panel for developers: each frame that the browser received, and the states of the connection.
 *
 * @typedef {import("./order-stream.js").Frame} Frame
 */

import { $, count, element, setText } from "./dom.js";
import { announce } from "./view.js";

const MAX_ROWS = 200;

let connections = 0;
let changes = 0;

/** Clears the panel. */
export function startWire() {
  connections = 0;
  changes = 0;
  $("frames").replaceChildren();
  setText($("curl"), "curl -N …");
  $("copy").disabled = true;
  showCounts();
}

/** Shows a command that gets the events at `url` without a browser. */
export function showCurl(url) {
  // The URL is in single quotes for the shell, and encodeURIComponent does not encode single quotes.
  setText($("curl"), `curl -N '${url.replaceAll("'", "%27")}'`);
  $("copy").disabled = false;
}

/** @param {Frame} frame */
export function showFrame({ event, id, data }) {
  if (event === "hello") connections += 1;
  if (event === "message") changes += 1;
  showCounts();
  const row = element("li", { className: "frame" });
  row.dataset.event = event;
  row.append(
    element("time", { textContent: new Date().toISOString().slice(11, 23) }),
    element("span", { className: "event", textContent: event }),
    element("span", { className: "frame-id", textContent: id }),
    element("span", { className: "data", textContent: data }),
  );
  $("frames").prepend(row);
  if ($("frames").children.length > MAX_ROWS) $("frames").lastElementChild.remove();
}

function showCounts() {
  setText($("wire-counts"), `${count(connections, "connection")}, ${count(changes, "change")}`);
  $("frames-none").hidden = $("frames").children.length > 0;
}

$("copy").addEventListener("click", async () => {
  const button = $("copy");
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    button.textContent = "Copied";
    announce("Copied");
    setTimeout(() => (button.textContent = "Copy as curl"), 2_000);
  } catch {
    // A page that is neither https nor localhost has no clipboard. Select the text, so that a key can copy it.
    getSelection()?.selectAllChildren($("curl"));
  }
});
