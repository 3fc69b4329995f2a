/**
 * The orders of one customer, as the stream sends them.
 *
 * @typedef {import("../order-stream.js").Change} Change
 * @typedef {{id: string, status: string, at: string, open: boolean}} Order
 */

/** Statuses after which nothing is expected: the default of `TERMINAL_STATUSES`, and `REMOVED`. */
const LAST = ["DELIVERED", "CANCELLED", "CANCELED", "RETURNED", "REFUNDED", "REMOVED"];

/** How many finished orders are kept. */
const FINISHED_KEPT = 2;

export class Orders {
  /** In the sequence in which they came. @type {Map<string, Order>} */
  #orders = new Map();
  /** The ids of the other finished orders: one of them may change again, or become another customer's. @type {Set<string>} */
  #others = new Set();

  /** @param {Change} change */
  change({ orderId, status, at }) {
    this.#others.delete(orderId);
    this.#orders.set(orderId, { id: orderId, status, at, open: !LAST.includes(status.toUpperCase()) });
  }

  /** @param {string[]} ids */
  forget(ids) {
    for (const id of ids) {
      this.#orders.delete(id);
      this.#others.delete(id);
    }
  }

  /** Keeps only the newest finished orders, and the id of each other one. @param {string} [kept] a finished order that is kept too */
  trim(kept) {
    for (const { id } of this.finished.slice(FINISHED_KEPT)) {
      if (id === kept) continue;
      this.#orders.delete(id);
      this.#others.add(id);
    }
  }

  has(id) {
    return this.#orders.has(id) || this.#others.has(id);
  }

  /** Open orders, newest first. They keep their place when they change. */
  get open() {
    return [...this.#orders.values()].filter(({ open }) => open).reverse();
  }

  /** How many finished orders are not kept. */
  get others() {
    return this.#others.size;
  }

  /** The finished orders that are kept, the last one first. */
  get finished() {
    return [...this.#orders.values()].filter(({ open }) => !open).sort((one, other) => (one.at < other.at ? 1 : -1));
  }
}
