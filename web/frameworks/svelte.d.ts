import type { Snapshot } from "../order-stream.js";
import type { Customer, CustomerWatchOptions, Orders, WatchOptions } from "./store.js";

/** A readable store of Svelte 4 and 5. */
export interface OrderStatus {
  subscribe(this: void, run: (value: Snapshot) => void): () => void;
}

/**
 * The newest changes of the orders, and the state of the stream. The stream is opened with the first
 * subscriber, but not on a server, and closed with the last.
 *
 * @throws RangeError, TypeError as `watchOrders`, when the store is subscribed to
 */
export function orderStatus(url: string | URL, orders: Orders, options?: WatchOptions): OrderStatus;

/**
 * The newest change of each order of the customer, new orders included, and the state of the stream: `watchCustomer` as a
 * store. The store of another customer shows nothing of this one.
 *
 * @throws TypeError if `customer` is an object
 */
export function customerOrders(url: string | URL, customer: Customer, options?: CustomerWatchOptions): OrderStatus;
