/** The demo page: which order is watched, the shop's buttons, and what joins the two. */

import { $, setText } from "./dom.js";
import { watchOrders } from "./order-stream.js";
import { label, meaning, say, showConnection, showOrder, showRecent, showSince } from "./view.js";
import { showCurl, showFrame, startWire } from "./wire.js";

const RECENT = 8;
const SHOP_LOOK = 5_000;

/** @type {string} */
let streamUrl;
/** @type {{id: string, changes: import("./order-stream.js").Change[], caughtUp: boolean, finished: boolean} | undefined} */
let order;
/** @type {import("./view.js").Connection | undefined} */
let connection;
/** @type {import("./order-stream.js").OrderStream | undefined} */
let watching;
/** @type {{orderId: string, status: string}[] | undefined} not known before the shop's first answer */
let recent;
let working = false;
/** @type {"silent" | "refused" | undefined} */
let trouble;

function orderInUrl() {
  return new URLSearchParams(location.search).get("order") || undefined;
}

/** Shows the order that the page's address names. */
function show() {
  const id = orderInUrl();
  watching?.close();
  watching = undefined;
  connection = id && { state: "connecting", tries: 0 };
  order = id && { id, changes: [], caughtUp: false, finished: false };
  $("stream-trouble").hidden = true;
  startWire();
  render(false);
  start();
}

function start() {
  if (!order || !streamUrl || watching) return;
  watching = watchOrders(streamUrl, [order.id], { token });
  watching.on("frame", (frame) => {
    showFrame(frame);
    if (frame.event === "ready") ready();
  });
  watching.on("change", (change) => {
    order.changes.push(change);
    if (!order.caughtUp) return; // a replay is shown whole, at its `ready`
    render(true);
    announce();
    refresh();
  });
  watching.on("reset", () => Object.assign(order, { changes: [], caughtUp: false }));
  watching.on("end", () => {
    order.caughtUp = true;
    order.finished = true;
    render(false);
    say(`Order ${order.id} is finished.`);
  });
  watching.on("state", connected);
}

function ready() {
  const first = !order.caughtUp;
  order.caughtUp = true;
  render(false);
  if (first) announce();
}

/** A token from the page's own server, which gives one to whoever asks: it is a demo. */
async function token() {
  const { id } = order;
  const token = (await ask("GET", `/token?orders=${encodeURIComponent(id)}`))?.token;
  if (!token) throw new Error("no token");
  if (order?.id === id) showCurl(`${streamUrl}/orders/${encodeURIComponent(id)}/events?access_token=${token}`);
  return token;
}

/** @param {{state: import("./order-stream.js").State, reason?: string, retryAt?: number}} now */
function connected(now) {
  const before = connection;
  connection = { ...now, tries: now.state === "stale" ? before.tries + 1 : 0 };
  if (now.reason) showFrame({ event: now.state, id: "", data: now.reason });
  else if (document.hidden) showFrame({ event: "closed", id: "", data: "the page is hidden" });
  // A replay that bad weather cut short is better than nothing until the next `ready`.
  if (now.state === "stale" && order.changes.length > 0) render(false);
  if (now.state === "denied") say("The stream refused to open.");
  if (before.state === "live" && now.state === "stale") say("Connection lost. Trying again.");
  // A page that is shown again is connected within milliseconds: waiting spares the eye the states in between.
  clearTimeout(pillTimer);
  pillTimer = setTimeout(showPill, 150);
}
let pillTimer;

function showPill() {
  showConnection(connection, streamUrl);
}

function announce() {
  const [before, now] = [undefined, undefined, ...order.changes].slice(-2);
  if (!now) say(`Order ${order.id}: no change yet.`);
  else if (order.caughtUp && before?.status === now.status) say(`Order ${order.id}: its details changed.`);
  else say(`Order ${order.id}: ${label(now.status)}. ${meaning(now.status)}`);
}

/** @param {boolean} moves */
function render(moves) {
  showOrder(order, moves);
  showPill();
  if (recent) showRecent(recent, order?.id);
  const open = order && !order.finished;
  // Not `disabled`: a button that is disabled under the keyboard's focus drops it.
  for (const id of ["advance", "cancel"]) $(id).setAttribute("aria-disabled", String(!open));
  $("place").classList.toggle("main", !open);
  $("advance").classList.toggle("main", Boolean(open));
}

/** A request to the shop; resolves to nothing, and says so on the page, where it does not answer. */
async function ask(method, path) {
  try {
    const response = await fetch(path, { method, headers: { accept: "application/json" } });
    if (response.status === 409) return { finished: true };
    if (!response.ok) throw new Error(`The shop answered ${method} ${path} with ${response.status}.`);
    const answer = await response.json();
    // A background look that went well does not take away what a button's press was answered.
    if (method === "POST" || trouble === "silent") $("shop-trouble").hidden = true;
    return answer;
  } catch (error) {
    const silent = error instanceof TypeError;
    trouble = silent ? "silent" : "refused";
    setText($("shop-trouble-title"), silent ? "The shop does not answer" : "The shop could not do that");
    setText($("shop-trouble-text"), silent ? "Start it with “make run”. This page looks again every few seconds." : error.message);
    $("shop-trouble").hidden = false;
  }
}

/** What the stream does not tell: where it is, and the shop's other orders. */
async function refresh() {
  streamUrl ??= (await ask("GET", "/config.json"))?.streamUrl;
  if (!streamUrl) return;
  start();
  const answer = await ask("GET", "/orders");
  if (!answer) return;
  recent = answer.orders.slice(0, RECENT);
  showRecent(recent, order?.id);
}

/** One press, one request: a second one while the first is under way does nothing. */
function press(id, action) {
  $(id).addEventListener("click", async () => {
    if (working || $(id).getAttribute("aria-disabled") === "true") return;
    working = true;
    $(id).setAttribute("aria-busy", "true");
    try {
      await action();
    } finally {
      working = false;
      $(id).removeAttribute("aria-busy");
    }
    refresh();
  });
}

async function move(action) {
  const { id } = order;
  const answer = await ask("POST", `/orders/${encodeURIComponent(id)}/${action}`);
  if (answer?.finished && order?.id === id) {
    order.finished = true;
    render(false);
    say(`Order ${id} is finished.`);
  }
}

press("place", async () => {
  const placed = await ask("POST", "/orders");
  if (placed?.orderId) go(`?order=${encodeURIComponent(placed.orderId)}`);
});
press("advance", () => move("advance"));
press("cancel", () => move("cancel"));
$("shop-again").addEventListener("click", refresh);
$("stream-again").addEventListener("click", show);

function go(url) {
  history.pushState(null, "", url);
  scrollTo(0, 0);
  show();
}

addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='?'], .name a");
  // A click that asks for a new tab or window stays the browser's.
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});

setInterval(() => {
  showSince(order);
  showPill();
}, 1_000);
setInterval(() => document.hidden || refresh(), SHOP_LOOK);

show();
refresh();
