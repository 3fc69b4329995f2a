import type { Options, OrderId } from "../order-stream.js";

/** An id, or up to ten. Without an id, nothing is watched. */
export type Orders = OrderId | readonly OrderId[] | null | undefined;

/**
 * Those of `watchOrders`, without `signal`. If several components watch the same orders at the same URL,
 * they share a stream, and the options of the first one count. Only `token` is that of the component that
 * came last, as it is now.
 */
export type WatchOptions = Omit<Options, "signal">;
