/**
 * The panel for the curious: each frame as the browser was sent it, and what became of the connection.
 *
 * @typedef {import("./order-stream.js").Frame} Frame
 */

import { $, element, setText } from "./dom.js";
import { say } from "./view.js";

const KEPT = 200;

let connections = 0;
let changes = 0;

/** Starts the panel anew. */
export function startWire() {
  connections = 0;
  changes = 0;
  $("frames").replaceChildren();
  setText($("curl"), "curl -N …");
  $("copy").disabled = true;
  showCounts();
}

/** Shows how to get the events at `url` without a browser. */
export function showCurl(url) {
  // Single quotes keep a shell away from the URL; encodeURIComponent leaves them as they are.
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
  if ($("frames").children.length > KEPT) $("frames").lastElementChild.remove();
}

function showCounts() {
  setText($("wire-counts"), `${counted(connections, "connection")}, ${counted(changes, "change")}`);
  $("frames-none").hidden = $("frames").children.length > 0;
}

function counted(count, of) {
  return `${count} ${of}${count === 1 ? "" : "s"}`;
}

$("copy").addEventListener("click", async () => {
  const button = $("copy");
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => (button.textContent = "Copy as curl"), 2_000);
  } catch {
    // No clipboard for a page that is neither https nor localhost: leave it selected, for the keyboard.
    getSelection()?.selectAllChildren($("curl"));
  }
});
