import type { ComputedRef, MaybeRefOrGetter } from "vue";

import type { Snapshot } from "../order-stream.js";
import type { Customer, CustomerWatchOptions, Orders, WatchOptions } from "./store.js";

/** The parts of a `Snapshot`, each as a ref. */
export type OrderStatus = { readonly [Name in keyof Required<Snapshot>]: ComputedRef<Snapshot[Name]> };

/**
 * The newest changes of the orders, and the state of the stream. Call it in `setup`. The stream is opened
 * when the component is mounted, so a server opens none, and closed when the last component that needs it
 * is unmounted. If the URL or the ids change, another stream is opened: pass them as refs or getters.
 * `options` is read when the component is set up: a `token` that may change is a function that reads the prop.
 */
export function useOrderStatus(
  url: MaybeRefOrGetter<string | URL>,
  orders: MaybeRefOrGetter<Orders>,
  options?: WatchOptions,
): OrderStatus;

/**
 * The newest change of each order of the customer, new orders included, and the state of the stream: `watchCustomer` for
 * `setup`. If the customer changes, another stream is opened, and nothing of the former one is shown: pass it as a ref or
 * a getter.
 *
 * @throws TypeError if `customer` is an object
 */
export function useCustomerOrders(
  url: MaybeRefOrGetter<string | URL>,
  customer: MaybeRefOrGetter<Customer>,
  options?: CustomerWatchOptions,
): OrderStatus;
