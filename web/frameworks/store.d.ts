import type { Options, OrderId } from "../order-stream.js";

/** An id, or up to ten. Without an id, nothing is watched. */
export type Orders = OrderId | readonly OrderId[] | null | undefined;

/**
 * Those of `watchOrders`, without `signal`. If several components watch the same orders at the same URL,
 * they share a stream, and the options of the first one count. Only `token` is that of the component that
 * came last and has one, as it is now. `cursor` is used only if `orders` has a change of each of the orders, in
 * the same sequence: otherwise it is the cursor of other orders, and the server sends what it has.
 */
export type WatchOptions = Omit<Options, "signal">;
