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

/**
 * A customer: any value that no other customer has, such as the customer's id. It is not sent, because the token says
 * who the customer is. It only separates customers who sign in one after the other, or in several tabs. Without it
 * (`undefined`, `null`, an empty text), nothing is watched.
 */
export type Customer = OrderId | null | undefined;

/**
 * As {@link WatchOptions}, with these differences. `share: true` shares the stream with the tabs of this customer. The list
 * `orders` belongs to the customer with whom it was used first: for another one it is ignored, with its `cursor`.
 */
export type CustomerWatchOptions = WatchOptions;
