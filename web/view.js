/**
 * Shows an order to its customer. Data from the stream is inserted as text, never as markup.
 *
 * @typedef {import("./order-stream.js").Change} Change
 * @typedef {{state: import("./order-stream.js").State, reason?: string, retryAt?: number, tries: number}} Connection
 *   `tries`: the number of times in a row that the state was `stale`.
 */

import { $, arrange, clock, element, iconOf, replay, setText, showIcon, span, time } from "./dom.js";

/** Label and meaning of each status. The first six are the usual sequence. An unknown status is shown unchanged. */
const STATUSES = {
  PLACED: ["Placed", "We have your order."],
  PAID: ["Paid", "The payment went through."],
  PREPARING: ["Preparing", "Your things are being packed."],
  SHIPPED: ["Shipped", "The parcel is with the carrier."],
  OUT_FOR_DELIVERY: ["Out for delivery", "The driver has your parcel."],
  DELIVERED: ["Delivered", "It has arrived."],
  CANCELLED: ["Cancelled", "The order was cancelled."],
  RETURNED: ["Returned", "We have received your return."],
  REFUNDED: ["Refunded", "You have your money back."],
  REMOVED: ["Removed", "The shop has deleted it."],
};
const USUAL_SEQUENCE = Object.keys(STATUSES).slice(0, 6);
const FACTS = { eta: "Expected", carrier: "Carrier", trackingUrl: "Tracking" };

/** A status in words. */
export const label = (status) => (Object.hasOwn(STATUSES, status) ? STATUSES[status][0] : status);
/** What a status means to the customer, or an empty text if that is unknown. */
export const meaning = (status) => (Object.hasOwn(STATUSES, status) ? STATUSES[status][1] : "");
/** The name of a status's icon. */
export const icon = (status) => (Object.hasOwn(STATUSES, status) ? status : "other");

/** @typedef {{status: string, at: string, updated?: string}} Step `updated`: when only the details changed later */

/**
 * Groups the changes of an order into steps. Changes in a row with the same status are one step.
 *
 * @param {Change[]} changes
 * @returns {Step[]}
 */
export function steps(changes) {
  const steps = [];
  for (const { status, at } of changes) {
    const last = steps.at(-1);
    if (last?.status === status) last.updated = at;
    else steps.push({ status, at });
  }
  return steps;
}

/** The statuses that usually follow a status. Empty if the status is not in the usual sequence. */
export function expected(status) {
  if (status === undefined) return USUAL_SEQUENCE;
  return USUAL_SEQUENCE.includes(status) ? USUAL_SEQUENCE.slice(USUAL_SEQUENCE.indexOf(status) + 1) : [];
}

/**
 * @param {{id: string, changes: Change[], caughtUp: boolean, finished: boolean} | undefined} order
 * @param {boolean} animated whether new parts are animated; they are not in a replay
 */
export function showOrder(order, animated) {
  const past = steps(order?.changes ?? []);
  const current = past.at(-1);
  const [number, status] = order
    ? [`Order ${order.id}`, current ? label(current.status) : order.caughtUp ? "Nothing yet" : "Looking it up"]
    : ["No order yet", "Place one, and watch it move"];
  setText($("number"), number);
  if (setText($("status"), status) && animated) replay($("status"), "arrives");
  $("stub").dataset.tone = tone(current?.status);
  $("title").dataset.status = current?.status ?? "";
  $("status").classList.toggle("raw", status === current?.status);
  document.title = current ? `${status} · ${order.id}` : order ? order.id : "order-status-stream";
  showIcon($("emblem"), current ? icon(current.status) : "PLACED");
  $("trimmed").hidden = !(order?.changes[0]?.seq > 1);
  showFacts(order?.changes.at(-1)?.attributes ?? {});
  showTimeline(past, order?.finished ?? false, animated);
  showSince(order);
}

/** The colour of a status: for an order on its way, a delivered one, or any other. */
export function tone(status) {
  return status === "DELIVERED" ? "delivered" : USUAL_SEQUENCE.includes(status) ? "moving" : "";
}

/** Updates the part of an order that changes with time. */
export function showSince(order) {
  const current = steps(order?.changes ?? []).at(-1);
  const since = $("since");
  if (!current) {
    const hint = order ? "The first change appears here as soon as it happens." : "Or choose one of the recent orders.";
    setText(since, !order || order.caughtUp ? hint : "");
    return;
  }
  const age = Date.now() - Date.parse(current.at);
  // The shop's clock may be ahead of this machine's clock.
  const ago = age < 5_000 ? "just now" : `${span(age, "long")} ago`;
  if (since.firstElementChild?.dateTime !== current.at) {
    since.replaceChildren("Since ", time(current.at), element("span", { className: "ago" }));
  }
  setText(since.lastElementChild, ago);
}

/** Keeps the element of a step when it changes from "expected" to "done", so that CSS animates its colours. */
function showTimeline(past, finished, animated) {
  const timeline = $("timeline");
  const old = new Map([...timeline.children].map((item) => [item.dataset.key, item]));
  const times = new Map();
  const keyed = (status) => {
    const nth = (times.get(status) ?? 0) + 1;
    times.set(status, nth);
    return `${nth} ${status}`;
  };
  const items = past.map((step, at) => {
    const key = keyed(step.status);
    const now = at === past.length - 1;
    const item = old.get(key) ?? stepItem(key, step.status);
    if (animated && now && item.dataset.is !== "current") replay(item, "arrives");
    item.dataset.is = now ? "current" : "done";
    setText(item.querySelector(".says"), meaning(step.status));
    showWhen(item.querySelector(".when"), step, past[at - 1]);
    setText(item.querySelector(".updated"), step.updated ? `Details updated at ${clock(step.updated)}` : "");
    return item;
  });
  for (const status of finished ? [] : expected(past.at(-1)?.status)) {
    const key = keyed(status);
    const item = old.get(key) ?? stepItem(key, status);
    item.dataset.is = "expected";
    for (const part of [".says", ".when", ".updated"]) item.querySelector(part).replaceChildren();
    items.push(item);
  }
  for (const item of items) {
    item.toggleAttribute("aria-current", false);
    setText(item.querySelector(".visually-hidden"), item.dataset.is === "expected" ? ", not yet" : "");
  }
  items[past.length - 1]?.setAttribute("aria-current", "step");
  arrange(timeline, items);
}

function stepItem(key, status) {
  const item = element("li", { className: "step" });
  item.dataset.key = key;
  item.dataset.status = status;
  item.dataset.tone = tone(status);
  const node = element("span", { className: "node" });
  node.append(iconOf(icon(status)));
  const name = element("p", { className: "label" });
  name.append(label(status), element("span", { className: "visually-hidden" }));
  const text = element("div", { className: "text" });
  text.append(name, element("p", { className: "says" }), element("p", { className: "updated" }));
  item.append(node, text, element("p", { className: "when" }));
  return item;
}

function showWhen(when, step, before) {
  if (when.firstElementChild?.dateTime === step.at) return;
  when.replaceChildren(time(step.at));
  const took = before ? Date.parse(step.at) - Date.parse(before.at) : 0;
  if (took >= 1_000) when.append(element("span", { className: "took", textContent: `after ${span(took, "short")}` }));
}

function showFacts(attributes) {
  const facts = Object.entries(attributes).filter(([, value]) => value !== null && value !== "");
  $("facts").hidden = facts.length === 0;
  const shown = JSON.stringify(facts);
  if ($("facts").dataset.shown === shown) return; // else a focused link would lose its focus
  $("facts").dataset.shown = shown;
  $("facts").replaceChildren(
    ...facts.map(([name, value]) => {
      const fact = element("div");
      const detail = element("dd");
      detail.append(factValue(value));
      fact.append(element("dt", { textContent: Object.hasOwn(FACTS, name) ? FACTS[name] : name }), detail);
      return fact;
    }),
  );
}

/** Only http and https URLs become links. A link shows its real host. */
function factValue(value) {
  if (typeof value === "object") return JSON.stringify(value);
  const text = String(value);
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) {
    const url = new URL(text);
    const link = element("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" });
    link.append(url.host + (url.pathname === "/" ? "" : url.pathname));
    link.append(element("span", { className: "visually-hidden", textContent: " (opens in a new tab)" }));
    return link;
  }
  if (/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))) return time(text);
  return text;
}

/**
 * Shows the connection's state in the header, and advice if it fails.
 *
 * @param {Connection | undefined} connection
 * @param {string} advice for a stream that does not answer
 */
export function showConnection(connection, advice) {
  const pill = $("connection");
  const state = connection?.state;
  pill.hidden = !state;
  document.body.dataset.connection = state ?? "";
  if (state) {
    if (pill.dataset.is !== state) showIcon(pill.querySelector("svg"), state);
    pill.dataset.is = state;
    const left = connection.retryAt ? Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1_000)) : 0;
    setText($("connection-text"), {
      connecting: "Connecting",
      live: "Live",
      stale: left ? `Reconnecting in ${left} s` : "Reconnecting",
      denied: "Refused",
      ended: "Ended, no more changes",
    }[state]);
  }
  const silent = state === "stale" && connection.tries > 2;
  // The advice stays until the stream is live, and does not disappear during each attempt.
  if (state === "denied" || silent) $("stream-trouble").hidden = false;
  else if (state === "live" || state === "ended" || !state) $("stream-trouble").hidden = true;
  if (state === "denied") {
    setText($("stream-trouble-title"), "The stream refused to open");
    setText($("stream-trouble-text"), `It answered: ${connection.reason}. Check the order’s number in the address.`);
  } else if (silent) {
    setText($("stream-trouble-title"), "The stream does not answer");
    setText($("stream-trouble-text"), `This page may be out of date. It keeps trying. ${advice}`);
  }
}

/** Announces a text to screen readers. Texts are appended, so that two changes in a row are both read. */
export function announce(text) {
  const announcements = $("announcements");
  announcements.append(element("p", { textContent: text }));
  if (announcements.children.length > 5) announcements.firstElementChild.remove();
}
