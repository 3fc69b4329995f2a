/** What customers may see of an order after a change. */
export interface Change {
  readonly orderId: string;
  /** 1, 2, 3 … for each order. It begins later if history was trimmed. */
  readonly seq: number;
  readonly status: string;
  readonly previous: string | null;
  /** The time of the change, RFC 3339. */
  readonly at: string;
  /** Other attributes that customers may see. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/**
 * - `connecting`: not up to date yet, and no error. Also the state of a hidden page.
 * - `live`: as fresh as the server promises, also between two check-ins.
 * - `stale`: the page may show old data. The client opens the stream again. The cause is an error, or
 *   the server asked for a long rest.
 * - `denied`: the server refuses to show these orders. Final. If a firewall, a proxy or a captive
 *   portal answers instead of the server, the state is `stale`.
 * - `ended`: no order is expected to change any more. Final.
 */
export type State = "connecting" | "live" | "stale" | "denied" | "ended";

/** The known orders, in the form of the server's answer to `Accept: application/json`, and the state. */
export interface Snapshot {
  readonly state: State;
  readonly cursor: string;
  /**
   * The newest change of each order that has one, in the sequence in which you named them. Of a customer, in the sequence in
   * which they came.
   */
  readonly orders: readonly Change[];
  /** The reason for `stale` or `denied`. Other states have no reason. */
  readonly error?: StateDetail;
}

export interface StateDetail {
  /**
   * The reason for `stale` or `denied`, for developers. `unavailable`: the server cannot read its data
   * at the moment. `rest`: the server asked for a rest of more than 66 s (by default it rests for at
   * most 60 s, and a tenth more or less), or ended the response before `ready`.
   */
  readonly reason?: string;
  /** The time of the next attempt, in milliseconds since 1970. */
  readonly retryAt?: number;
}

/** A frame of the stream, unchanged. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

export interface Events {
  /** Each change, once and in order. */
  change: Change;
  /**
   * History is not continuous. Forget the changes of these orders, because a replay follows. It can
   * be the first event, because a new visitor gets the latest changes only. Of a customer, `orders` has all orders
   * that the client knows.
   */
  reset: { readonly orders: readonly string[]; readonly reason: string };
  /**
   * Only of a customer: the order is no longer theirs, and the snapshot is without it. It may come back, as a change. Of an
   * order that the client does not know there is no event. (A deleted order is a change, with the status `REMOVED`.)
   */
  gone: { readonly orderId: string };
  /** No more changes are expected. Never of a customer. `orders` has the last change of each order. */
  end: { readonly orders: readonly Change[] };
  state: { readonly state: State } & StateDetail;
  /** Each frame, before the events that it causes. For debugging. */
  frame: Frame;
}

export interface Options {
  /**
   * Returns the token for the stream, or `undefined` to send none (if a cookie is used, for example).
   * The client calls it at the start, at the first check-in within 30 s of a JWT's `exp`, and after
   * the server refused the token or ended it with `expired`: then `rejected` is that token.
   *
   * If the server refuses two tokens in a row, the state is `denied`. Any other failure in between
   * resets the count. If the function rejects, it is called again later. While a call is pending,
   * there is no second call for two heartbeats.
   *
   * If a token has `iat` and `exp`, its lifetime is the time between them. Without `iat`, `exp` is
   * compared with this machine's clock. If two new tokens in a row look expired by it, the clock is
   * ignored, and only the server decides.
   */
  token?(request: { readonly rejected: string | undefined }): string | undefined | Promise<string | undefined>;
  /**
   * The option `credentials` of `fetch`; `same-origin` by default. `include` sends cookies to another
   * origin, which must allow that.
   */
  credentials?: RequestCredentials;
  /**
   * The cursor at which to begin. It needs the same orders in the same sequence, or the same customer. The
   * server's JSON answer contains both `cursor` and `orders`. That of a customer has as many orders as fit: if
   * there are more, the cursor ends with `_`, and the stream sends the others.
   */
  cursor?: string;
  /** The newest changes at the cursor. */
  orders?: readonly Change[];
  /**
   * The server's `HEARTBEAT` in milliseconds; 15000 by default. After two missed heartbeats, the
   * client opens the stream again.
   */
  heartbeat?: number;
  /**
   * What sends the requests, instead of the global `fetch`. It must return `body` as a stream. React
   * Native's own does not, but that of `expo/fetch` does.
   */
  fetch?: typeof fetch;
  /**
   * Tells whether anybody can see the orders, instead of the page's own visibility. While they are hidden,
   * the client sends no requests.
   */
  visibility?: Visibility;
  /**
   * The tabs of this origin that watch the same orders at the same URL share one stream. If it is a text, only those that
   * have named the same text, for example the id of the customer who is signed in. It needs Web
   * Locks and `BroadcastChannel`. Without them, each tab has its own stream. The token is that of the
   * tab that holds the stream. `false` by default.
   */
  share?: boolean | string;
  /** Closes the stream. The client removes its listener once the stream is closed, ended or denied. */
  signal?: AbortSignal;
}

export interface CustomerOptions extends Omit<Options, "share"> {
  /**
   * The tabs of this origin that have named the same text share one stream, as with the other `share`. It must be a text that
   * no other customer has, such as the customer's id, because the URL is the same for all of them. If another customer signs
   * in, close the stream, and open one with the other text.
   */
  share?: string | false;
}

export interface Visibility {
  hidden(): boolean;
  /** Calls `listener` when the answer of `hidden` may have changed. Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void;
}

export interface OrderStream {
  readonly state: State;
  /**
   * The id of the last frame. Another watch can continue from it. If it also gets `orders`, pass both from
   * one `getSnapshot()`: during a replay, this cursor is newer than the orders of the snapshot.
   */
  readonly cursor: string;
  /** The newest published change of an order. It is the same object until there is a newer one. */
  get(orderId: OrderId): Change | undefined;
  /** The current snapshot. It is the same object until something in it changes. A replay is published as a whole. */
  getSnapshot(): Snapshot;
  /**
   * Calls `render` when the snapshot has changed. Returns a function that unsubscribes. `subscribe`
   * and `getSnapshot` fit React's `useSyncExternalStore`.
   */
  subscribe(render: () => void): () => void;
  /** Adds a listener. Returns a function that removes it. */
  on<Type extends keyof Events>(type: Type, listener: (event: Events[Type]) => void): () => void;
  /** Closes the connection for good. After that no listener is called. */
  close(): void;
}

/** A safe integer or a bigint means the same as its decimal digits. */
export type OrderId = string | number | bigint;

/**
 * Watches 1 to 10 orders on one connection, as long as the page is shown. For more orders, call it
 * again: each watch has its own cursor and state.
 *
 * @param url the URL of the stream function, or a path of the page's origin that leads to it; its
 * query is kept
 * @throws RangeError if no order or more than ten orders are named
 * @throws TypeError if an id is neither a string nor a bigint nor a safe integer
 */
export function watchOrders(url: string | URL, orderIds: Iterable<OrderId>, options?: Options): OrderStream;

/**
 * Watches all orders of the customer that the token names, new ones included. The server must know customers: its settings
 * `CUSTOMER_ATTRIBUTE` and `JWT_CUSTOMER_CLAIM`.
 *
 * @param url as for `watchOrders`
 * @throws TypeError if `share` is neither `false` nor a text with at least one character
 */
export function watchCustomer(url: string | URL, options?: CustomerOptions): OrderStream;
