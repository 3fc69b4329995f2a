import type { Snapshot } from "../order-stream.js";
import type { Customer, CustomerWatchOptions, Orders, WatchOptions } from "./store.js";

/**
 * The newest changes of the orders, and the state of the stream. The stream is opened when the component
 * is mounted, so a server opens none, and closed when the last component that needs it is unmounted. If
 * the URL or the ids change, another stream is opened. `options` may be a new object with each rendering.
 *
 * @throws RangeError, TypeError as `watchOrders`, when the component is mounted
 */
export function useOrderStatus(url: string | URL, orders: Orders, options?: WatchOptions): Snapshot;

/**
 * The newest change of each order of the customer, new orders included, and the state of the stream: `watchCustomer` as a
 * hook. If the customer changes, another stream is opened, and nothing of the former one is shown.
 *
 * @throws TypeError if `customer` is an object
 */
export function useCustomerOrders(url: string | URL, customer: Customer, options?: CustomerWatchOptions): Snapshot;
