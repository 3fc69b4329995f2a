/**
 * Live order status in a page: what a bare `EventSource` leaves to you is done here. See
 * `order-stream.d.ts`.
 *
 * @typedef {import("./order-stream.d.ts").Change} Change
 * @typedef {import("./order-stream.d.ts").Snapshot} Snapshot
 */

import { Connection } from "./order-stream/connection.js";

/** The most orders that the server shows on one connection. */
const MAX_ORDERS = 10;

/** @type {typeof import("./order-stream.d.ts").watchOrders} */
export function watchOrders(url, ids, options = {}) {
  return new OrderStream(url, ids, options);
}

class OrderStream {
  #ids;
  #connection;
  #signal;
  #isClosed = false;
  /** How far each order was handed over. @type {Map<string, number>} */
  #seen = new Map();
  /** The newest change of each order. @type {Map<string, Change>} */
  #newest = new Map();
  /** What of that is told to subscribers. @type {Snapshot} */
  #snapshot;
  #caughtUp = false;
  /** @type {Map<string, Set<Function>>} */
  #listeners = new Map();
  #subscribers = new Set();

  constructor(url, ids, { token, credentials, cursor = "", orders = [], heartbeat = 15_000, signal }) {
    this.#ids = [...new Set([...ids].map(idText))];
    if (this.#ids.length === 0 || this.#ids.length > MAX_ORDERS) {
      throw new RangeError(`1 to ${MAX_ORDERS} orders can be watched at once, ${this.#ids.length} were named`);
    }
    for (const id of this.#ids) this.#seen.set(id, 0);
    for (const change of orders) this.#see(change);
    this.#snapshot = { state: "connecting", cursor, orders: this.#known() };
    this.#connection = new Connection({
      url: address(url, this.#ids),
      cursor,
      token,
      credentials,
      heartbeat,
      frame: (frame) => this.#read(frame),
      state: (state, detail) => this.#become(state, detail),
    });
    this.#signal = signal;
    if (signal?.aborted) return;
    signal?.addEventListener("abort", this.close);
    this.#connection.start();
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
    this.#forgetSignal();
    this.#connection.close();
  };

  /** A signal may outlive many streams, and would keep each of them in memory. */
  #forgetSignal() {
    this.#signal?.removeEventListener("abort", this.close);
  }

  /** Throws where it cannot be read: skipped, it would be a silent gap. */
  #read(frame) {
    const { event } = frame;
    const data = event === "message" || event === "reset" ? JSON.parse(frame.data) : undefined;
    this.#emit("frame", frame);
    if (event === "hello" || event === "reset") this.#caughtUp = false;
    if (event === "message") this.#change(data);
    if (event === "reset") this.#reset(data);
    if (event === "ready") this.#caughtUp = true;
    // The changes of a replay are published together: no order's past is shown as if it were
    // happening.
    if (["ready", "rest", "expired", "end"].includes(event)) this.#publish();
  }

  #change(change) {
    if (!this.#see(change)) return;
    if (this.#caughtUp) this.#publish();
    this.#emit("change", change);
  }

  /** @returns whether it is news, of an order that is watched */
  #see(change) {
    const news = change.seq > this.#seen.get(change.orderId);
    if (news) {
      this.#seen.set(change.orderId, change.seq);
      this.#newest.set(change.orderId, change);
    }
    return news;
  }

  #reset({ orders, reason }) {
    const known = orders.filter((id) => this.#seen.has(id));
    for (const id of known) {
      this.#seen.set(id, 0);
      this.#newest.delete(id);
    }
    this.#emit("reset", { orders: known, reason });
  }

  #become(state, detail) {
    if (state === "ended" || state === "denied") this.#forgetSignal();
    if (state !== this.state) this.#show({ ...this.#snapshot, state });
    this.#emit("state", { state, ...detail });
    if (state === "ended") this.#emit("end", { orders: this.#snapshot.orders });
  }

  #publish() {
    const { cursor } = this.#connection;
    const { state, ...before } = this.#snapshot;
    const orders = this.#known();
    const same = orders.length === before.orders.length && orders.every((change, at) => change === before.orders[at]);
    if (!same || cursor !== before.cursor) this.#show({ state, cursor, orders: same ? before.orders : orders });
  }

  #known() {
    return this.#ids.flatMap((id) => this.#newest.get(id) ?? []);
  }

  /** @param {Snapshot} snapshot */
  #show(snapshot) {
    this.#snapshot = snapshot;
    this.#callAll(this.#subscribers);
  }

  #emit(type, event) {
    this.#callAll(this.#listeners.get(type) ?? new Set(), event);
  }

  /** A listener may close the stream, or take another listener away: neither is called any more. */
  #callAll(listeners, event) {
    for (const listener of [...listeners]) {
      if (!this.#isClosed && listeners.has(listener)) call(listener, event);
    }
  }
}

/** A listener that throws is the page's to hear of, and must not stop the stream. */
function call(listener, event) {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** An id is text. A whole number is taken as its digits, as long as a number holds all of them. */
function idText(id) {
  if (typeof id === "string") return id;
  if (typeof id === "bigint" || Number.isSafeInteger(id)) return String(id);
  throw new TypeError(`an order id is a string or a whole number up to 2^53, but one is ${describe(id)}`);
}

/** @param {unknown} value which may be nothing that `String` can take */
function describe(value) {
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/**
 * By query even for one order: as a path, an id `..` would be swallowed. What the page has in the
 * query is kept, except for orders: the cursor has a mark for each of `ids`, and for no others.
 */
function address(url, ids) {
  const address = new URL(url, globalThis.document?.baseURI);
  address.pathname = `${address.pathname.replace(/\/+$/, "")}/orders/events`;
  const kept = address.search.slice(1).split("&").filter((part) => part && !/^order(=|$)/.test(part));
  address.search = [...kept, ...ids.map((id) => `order=${encodeURIComponent(id)}`)].join("&");
  return address.href;
}
