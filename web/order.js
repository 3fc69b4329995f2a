/** The page of one order, as a customer opens it from a mail. Its buttons go to the demo shop. `app.js` is the page with several orders. */

import { ask, press, tokenFor } from "./demo/shop.js";
import { $, arrange, element, setText } from "./dom.js";
import { watchOrders } from "./order-stream.js";
import { announce, label, meaning, showConnection, showOrder, showSince } from "./view.js";
import { showCurl, showFrame, startWire } from "./wire.js";

const RECENT_ORDERS = 8;
const SHOP_POLL_INTERVAL = 5_000;

/** @type {string} */
let streamUrl;
/** @type {{id: string, changes: import("./order-stream.js").Change[], caughtUp: boolean, finished: boolean} | undefined} */
let order;
/** @type {import("./view.js").Connection | undefined} */
let connection;
/** @type {import("./order-stream.js").OrderStream | undefined} */
let watching;
/** @type {{orderId: string, status: string}[] | undefined} newest first, and undefined before the shop's first answer */
let recent;
let isRequesting = false;

function orderInUrl() {
  return new URLSearchParams(location.search).get("order") || undefined;
}

/** Shows the order that the page's URL names. */
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
    if (!order.caughtUp) return; // a replay is shown at once, at its `ready`
    render(true);
    announceOrder();
    refresh();
  });
  watching.on("reset", () => Object.assign(order, { changes: [], caughtUp: false }));
  watching.on("end", () => {
    order.caughtUp = true;
    order.finished = true;
    render(false);
    announce(`Order ${order.id} is finished.`);
  });
  watching.on("state", updateConnection);
}

function ready() {
  const first = !order.caughtUp;
  order.caughtUp = true;
  render(false);
  if (first) announceOrder();
}

async function token() {
  const { id } = order;
  const token = await tokenFor(`orders=${encodeURIComponent(id)}`);
  if (order?.id === id) showCurl(`${streamUrl}/orders/${encodeURIComponent(id)}/events?access_token=${token}`);
  return token;
}

/** @param {{state: import("./order-stream.js").State, reason?: string, retryAt?: number}} now */
function updateConnection(now) {
  const before = connection;
  connection = { ...now, tries: now.state === "stale" ? before.tries + 1 : 0 };
  if (now.reason) showFrame({ event: now.state, id: "", data: now.reason });
  else if (document.hidden) showFrame({ event: "closed", id: "", data: "the page is hidden" });
  // If an error cut a replay short, the page shows its part until the next `ready`.
  if (now.state === "stale" && order.changes.length > 0) render(false);
  if (now.state === "denied") announce("The stream refused to open.");
  if (before.state === "live" && now.state === "stale") announce("Connection lost. Trying again.");
  // A page that is shown again is connected within milliseconds. The delay hides the states in between.
  clearTimeout(pillTimer);
  pillTimer = setTimeout(showPill, 150);
}
let pillTimer;

function showPill() {
  showConnection(connection, `Is ${streamUrl} running? “make run” starts it.`);
}

function announceOrder() {
  const [before, now] = [undefined, undefined, ...order.changes].slice(-2);
  if (!now) announce(`Order ${order.id}: no change yet.`);
  else if (order.caughtUp && before?.status === now.status) announce(`Order ${order.id}: its details changed.`);
  else announce(`Order ${order.id}: ${label(now.status)}. ${meaning(now.status)}`);
}

/** @param {boolean} animated */
function render(animated) {
  showOrder(order, animated);
  showPill();
  if (recent) showRecent();
  const open = order && !order.finished;
  // Not `disabled`, because a button with the keyboard's focus loses it when it is disabled.
  for (const id of ["advance", "cancel"]) $(id).setAttribute("aria-disabled", String(!open));
  $("place").classList.toggle("main", !open);
  $("advance").classList.toggle("main", Boolean(open));
}

/** Fetches what the stream does not send: the stream's URL, and the shop's other orders. */
async function refresh() {
  streamUrl ??= (await ask("GET", "/config.json"))?.streamUrl;
  if (!streamUrl) return;
  start();
  const answer = await ask("GET", "/orders");
  if (!answer) return;
  recent = answer.orders.slice(0, RECENT_ORDERS);
  showRecent();
}

/** Shows the recent orders, each as a link. */
function showRecent() {
  const list = $("recent");
  const old = new Map([...list.children].map((item) => [item.dataset.order, item]));
  const items = recent.map(({ orderId, status }) => {
    const item = old.get(orderId) ?? recentItem(orderId);
    item.dataset.is = status;
    setText(item.querySelector(".is"), label(status));
    if (orderId === order?.id) item.firstElementChild.setAttribute("aria-current", "page");
    else item.firstElementChild.removeAttribute("aria-current");
    return item;
  });
  arrange(list, items);
  $("recent-none").hidden = items.length > 0;
}

function recentItem(orderId) {
  const item = element("li");
  item.dataset.order = orderId;
  const link = element("a", { href: `?order=${encodeURIComponent(orderId)}` });
  link.append(element("span", { className: "id", textContent: orderId }), " ", element("span", { className: "is" }));
  item.append(link);
  return item;
}

/** Runs `action` when the button is pressed. While a request is pending, further presses do nothing. */
function onPress(id, action) {
  $(id).addEventListener("click", async () => {
    if (isRequesting || $(id).getAttribute("aria-disabled") === "true") return;
    isRequesting = true;
    $(id).setAttribute("aria-busy", "true");
    try {
      await action();
    } finally {
      isRequesting = false;
      $(id).removeAttribute("aria-busy");
    }
    refresh();
  });
}

async function changeOrder(action) {
  const { id } = order;
  const answer = await press(`/orders/${encodeURIComponent(id)}/${action}`);
  if (answer?.finished && order?.id === id) {
    order.finished = true;
    render(false);
    announce(`Order ${id} is finished.`);
  }
}

onPress("place", async () => {
  const placed = await press("/orders");
  if (placed?.orderId) go(`?order=${encodeURIComponent(placed.orderId)}`);
});
onPress("advance", () => changeOrder("advance"));
onPress("cancel", () => changeOrder("cancel"));
$("shop-again").addEventListener("click", refresh);
$("stream-again").addEventListener("click", show);

function go(url) {
  history.pushState(null, "", url);
  scrollTo(0, 0);
  show();
}

addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='?']");
  // The browser itself handles a click that opens a new tab or window.
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});

setInterval(() => {
  showSince(order);
  showPill();
}, 1_000);
setInterval(() => document.hidden || refresh(), SHOP_POLL_INTERVAL);

show();
refresh();
