/**
 * The orders of one customer, as the stream sends them.
 *
 * @typedef {import("../order-stream.js").Change} Change
 * @typedef {{id: string, status: string, at: string, open: boolean}} Order
 */

/** Statuses after which nothing is expected: the default of `TERMINAL_STATUSES`, and `REMOVED`. */
const LAST = ["DELIVERED", "CANCELLED", "CANCELED", "RETURNED", "REFUNDED", "REMOVED"];

export class Orders {
  /** In the sequence in which they came. @type {Map<string, Order>} */
  #orders = new Map();

  /** @param {Change} change */
  change({ orderId, status, at }) {
    this.#orders.set(orderId, { id: orderId, status, at, open: !LAST.includes(status.toUpperCase()) });
  }

  /** @param {string[]} ids */
  forget(ids) {
    for (const id of ids) this.#orders.delete(id);
  }

  has(id) {
    return this.#orders.has(id);
  }

  /** Open orders, newest first. They keep their place when they change. */
  get open() {
    return [...this.#orders.values()].filter(({ open }) => open).reverse();
  }

  /** Finished orders, the last one first. */
  get finished() {
    return [...this.#orders.values()].filter(({ open }) => !open).sort((one, other) => (one.at < other.at ? 1 : -1));
  }
}
