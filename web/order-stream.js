/**
 * Live order status in a page. It also does what a bare `EventSource` leaves to the page: tokens,
 * reconnects, hidden pages. See `order-stream.d.ts`.
 *
 * @typedef {import("./order-stream.d.ts").Change} Change
 * @typedef {import("./order-stream.d.ts").Snapshot} Snapshot
 */

import { Connection } from "./order-stream/connection.js";
import { SharedConnection, canShare } from "./order-stream/shared.js";
import { Tokens } from "./order-stream/tokens.js";

/** The server's limit for one connection. */
const MAX_ORDERS = 10;

/** @type {typeof import("./order-stream.d.ts").watchOrders} */
export function watchOrders(url, ids, options = {}) {
  return new OrderStream(url, ids, options);
}

/** @type {typeof import("./order-stream.d.ts").watchCustomer} */
export function watchCustomer(url, options = {}) {
  return new OrderStream(url, undefined, options);
}

class OrderStream {
  /** `undefined` if the stream is a customer's: then the server decides which orders it has. */
  #ids;
  #connection;
  #signal;
  #isClosed = false;
  /** The `seq` of the last change that was delivered, by order. @type {Map<string, number>} */
  #seen = new Map();
  /** The newest change, by order. @type {Map<string, Change>} */
  #newest = new Map();
  /** What subscribers see. During a replay it is older than `#newest`. @type {Snapshot} */
  #snapshot;
  #caughtUp = false;
  /** @type {Map<string, Set<Function>>} */
  #listeners = new Map();
  #subscribers = new Set();

  constructor(url, ids, options) {
    const { cursor = "", orders = [], signal } = options;
    this.#ids = ids && checkedIds(ids);
    for (const id of this.#ids ?? []) this.#seen.set(id, 0);
    for (const change of orders) this.#accept(change);
    this.#snapshot = { state: "connecting", cursor, orders: this.#newestChanges() };
    this.#connection = this.#connect(url, options);
    this.#signal = signal;
    if (signal?.aborted) return;
    signal?.addEventListener("abort", this.close);
    this.#connection.start();
  }

  #connect(url, { token, credentials, cursor = "", heartbeat = 15_000, fetch, visibility, share = false }) {
    const settings = {
      url: address(url, this.#ids),
      cursor,
      tokens: new Tokens(token),
      credentials,
      heartbeat,
      // A browser's own `fetch` throws if it is called as a method of another object. A page may
      // replace the global one at any time.
      fetch: (...request) => (fetch ?? globalThis.fetch)(...request),
      visibility,
      frame: (frame) => this.#handleFrame(frame),
      state: (state, detail) => this.#setState(state, detail),
    };
    checkShare(share, this.#ids === undefined);
    if (!share || !canShare()) return new Connection(settings);
    return new SharedConnection({ ...settings, share, marks: () => this.#marks() });
  }

  /**
   * How far this tab has seen, for comparison with another tab. Of a customer, the cursor says it: all
   * orders are in one log. A `0` may have a count of check-ins, which differs between tabs.
   */
  #marks() {
    return this.#ids ? Object.fromEntries(this.#seen) : { "*": this.cursor.replace(/^(0-.*)?$/, "0") };
  }

  get state() {
    return this.#snapshot.state;
  }

  get cursor() {
    return this.#connection.cursor;
  }

  get = (id) => this.#snapshot.orders.find(({ orderId }) => orderId === String(id));

  getSnapshot = () => this.#snapshot;

  subscribe = (render) => {
    this.#subscribers.add(render);
    return () => void this.#subscribers.delete(render);
  };

  on = (type, listener) => {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => void this.#listeners.get(type).delete(listener);
  };

  close = () => {
    this.#isClosed = true;
    this.#unlistenSignal();
    this.#connection.close();
  };

  /** A signal may live longer than many streams. Its listener would keep each of them in memory. */
  #unlistenSignal() {
    this.#signal?.removeEventListener("abort", this.close);
  }

  /** Throws if the frame cannot be read, because skipping it would leave a silent gap. */
  #handleFrame(frame) {
    const { event } = frame;
    const data = ["message", "reset", "gone"].includes(event) ? JSON.parse(frame.data) : undefined;
    this.#emit("frame", frame);
    // `Connection` then keeps the cursor before this frame, because its change was not delivered.
    if (this.#isClosed) throw new Error("closed");
    if (event === "hello" || event === "reset") this.#caughtUp = false;
    if (event === "message") this.#handleChange(data);
    if (event === "gone") this.#handleGone(data);
    if (event === "reset") this.#handleReset(data);
    if (event === "ready") this.#caughtUp = true;
    // The changes of a replay are published together. Otherwise the page would show an order's past
    // as if it happened now.
    if (["ready", "rest", "expired", "end"].includes(event)) this.#publish();
  }

  #handleChange(change) {
    if (!this.#accept(change)) return;
    if (this.#caughtUp) this.#publish();
    this.#emit("change", change);
  }

  /** @returns whether the change is new, and of a watched order */
  #accept(change) {
    const unknown = this.#ids ? undefined : 0;
    const isNew = change.seq > (this.#seen.get(change.orderId) ?? unknown);
    if (isNew) {
      this.#seen.set(change.orderId, change.seq);
      this.#newest.set(change.orderId, change);
    }
    return isNew;
  }

  #handleGone({ orderId }) {
    if (!this.#newest.delete(orderId)) return;
    this.#seen.delete(orderId);
    if (this.#caughtUp) this.#publish();
    this.#emit("gone", { orderId });
  }

  #handleReset({ orders, reason }) {
    const watched = orders === "*" ? [...this.#seen.keys()] : orders.filter((id) => this.#seen.has(id));
    for (const id of watched) {
      if (this.#ids) this.#seen.set(id, 0);
      else this.#seen.delete(id);
      this.#newest.delete(id);
    }
    this.#emit("reset", { orders: watched, reason });
  }

  #setState(state, detail) {
    if (state === "ended" || state === "denied") this.#unlistenSignal();
    const { cursor, orders } = this.#snapshot;
    const error = detail.reason && { error: detail };
    if (state !== this.state || error) this.#setSnapshot({ state, cursor, orders, ...error });
    this.#emit("state", { state, ...detail });
    if (state === "ended") this.#emit("end", { orders: this.#snapshot.orders });
  }

  #publish() {
    const { cursor } = this.#connection;
    const before = this.#snapshot;
    const orders = this.#newestChanges();
    const same = orders.length === before.orders.length && orders.every((change, at) => change === before.orders[at]);
    if (!same || cursor !== before.cursor) this.#setSnapshot({ ...before, cursor, orders: same ? before.orders : orders });
  }

  #newestChanges() {
    const ids = this.#ids ?? [...this.#newest.keys()];
    return ids.flatMap((id) => this.#newest.get(id) ?? []);
  }

  /** @param {Snapshot} snapshot */
  #setSnapshot(snapshot) {
    this.#snapshot = snapshot;
    this.#callAll(this.#subscribers);
  }

  #emit(type, event) {
    this.#callAll(this.#listeners.get(type) ?? new Set(), event);
  }

  /** A listener may close the stream or remove another listener. Listeners after that are not called. */
  #callAll(listeners, event) {
    for (const listener of [...listeners]) {
      if (!this.#isClosed && listeners.has(listener)) call(listener, event);
    }
  }
}

/** If a listener throws, the stream continues, and the page sees an uncaught error. */
function call(listener, event) {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/**
 * All customers of a page have the same URL. Without a name, the tabs of two customers would share a
 * stream, and one of them would see the other's orders.
 */
function checkShare(share, isCustomer) {
  const isNamed = typeof share === "string" ? share !== "" : share === undefined || share === false;
  if (isCustomer && !isNamed) {
    throw new TypeError("for a customer, `share` is a text that no other customer has, such as the customer's id");
  }
}

/** @returns the ids as text, each once */
function checkedIds(ids) {
  const checked = [...new Set([...ids].map(idText))];
  if (checked.length === 0 || checked.length > MAX_ORDERS) {
    throw new RangeError(`1 to ${MAX_ORDERS} orders can be watched at once, not ${checked.length}`);
  }
  return checked;
}

/** An id is text. A number is accepted if it is a whole number that JavaScript holds exactly. */
function idText(id) {
  if (typeof id === "string") return id;
  if (typeof id === "bigint" || Number.isSafeInteger(id)) return String(id);
  throw new TypeError(`an order id is a string or a whole number up to 2^53, but one is ${describe(id)}`);
}

/** @param {unknown} value `String` throws for some objects */
function describe(value) {
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/**
 * Ids are in the query, even a single one, because `..` in a path would be removed. The page's own
 * query is kept, except for `order`: the cursor has marks for `ids` and for no other orders. The URL
 * is put together as text, because React Native's `URL` has no setters.
 */
function address(url, ids) {
  const [, path, query, fragment] = /^([^?#]*)\??([^#]*)(.*)/.exec(absolute(url));
  const resource = ids ? "/orders/events" : "/customers/me/events";
  const kept = query.split("&").filter((part) => part && !(ids && /^order(=|$)/.test(part)));
  const parts = [...kept, ...(ids ?? []).map((id) => `order=${encodeURIComponent(id)}`)];
  const text = parts.length > 0 ? `?${parts.join("&")}` : "";
  return `${path.replace(/\/+$/, "")}${resource}${text}${fragment}`;
}

/**
 * Text that is absolute already is used as it is, because React Native's `URL` appends a `/` to any
 * text, also after a query. Throws if it is no URL.
 */
function absolute(url) {
  const text = String(url).trim();
  const { href } = new URL(text, globalThis.document?.baseURI);
  return /^https?:\/\//i.test(text) ? text : href;
}
