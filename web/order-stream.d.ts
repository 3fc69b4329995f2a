/** An order's public view after a change. */
export interface Change {
  readonly orderId: string;
  /** 1, 2, 3 … for each order. Where history was trimmed, it begins later. */
  readonly seq: number;
  readonly status: string;
  readonly previous: string | null;
  /** When it changed, RFC 3339. */
  readonly at: string;
  /** The further attributes that customers may see. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/**
 * - `connecting`: not current yet, and nothing went wrong; so too while the page is hidden.
 * - `live`: as fresh as the server promises. It stays so between two check-ins.
 * - `stale`: what is shown may be old; the stream is opened again by itself. The reason is an error,
 *   or the server asked for a long rest.
 * - `denied`: the server will not show these orders, now or later. Final. What a firewall, a proxy or
 *   a captive portal answers in the server's place is `stale`.
 * - `ended`: nothing more is expected of any of the orders. Final.
 */
export type State = "connecting" | "live" | "stale" | "denied" | "ended";

/**
 * The orders as they are known: what the server answers to `Accept: application/json`, and how
 * current it is.
 */
export interface Snapshot {
  readonly state: State;
  readonly cursor: string;
  /**
   * The newest change of each order of which there is one, in the order in which they were named.
   */
  readonly orders: readonly Change[];
}

/** A frame of the stream, as it came. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

export interface Events {
  /** Each change, once, in order. */
  change: Change;
  /**
   * History is not continuous: forget these orders, what the server shows of them follows. It can be
   * the first event of all, if the server shows a new visitor the latest changes only.
   */
  reset: { readonly orders: readonly string[]; readonly reason: string };
  /** Nothing more is expected: the last change of each order. */
  end: { readonly orders: readonly Change[] };
  /**
   * `reason`: of `stale` and `denied`, for developers. `unavailable` means that the server cannot
   * read its data for now, `rest` that it asked for a rest of more than 66 s (its default is 60 s at
   * most, and a tenth at random) or ended the response before it had caught up. `retryAt`: of the
   * next attempt, in milliseconds since 1970.
   */
  state: { readonly state: State; readonly reason?: string; readonly retryAt?: number };
  /** Each frame, before what comes of it: for the curious. */
  frame: Frame;
}

export interface Options {
  /**
   * Gives the token to open the stream with, or nothing where there is none to send (a cookie does
   * the same, say). Asked at the start, at the first check-in within half a minute of a JWT's `exp`,
   * and, with the token that the server no longer takes, once that has expired or was refused. A
   * second refusal in a row is `denied`; after any other failure it is the first one again. If the
   * function rejects, it is asked again later. While it has not answered it is not asked again, for
   * two heartbeats.
   *
   * `exp` counts from `iat` if the token has both. If it has no `iat`, this machine's clock has to
   * do; if that makes one new token after another look old, only the server's word counts.
   */
  token?(request: { readonly rejected: string | undefined }): string | undefined | Promise<string | undefined>;
  /**
   * Of the requests, as `fetch` takes it; `same-origin` by default. `include` sends cookies to another
   * origin, which must allow that.
   */
  credentials?: RequestCredentials;
  /**
   * Where to begin, with the same orders in the same sequence. The server's JSON answer holds both
   * this and `orders`.
   */
  cursor?: string;
  /** What is known at the cursor. */
  orders?: readonly Change[];
  /**
   * The server's `HEARTBEAT`, in milliseconds; 15000 by default. After two that were missed the
   * stream is opened again.
   */
  heartbeat?: number;
  /** Closes the stream. Nothing listens to it once the stream is closed, ended or denied. */
  signal?: AbortSignal;
}

export interface OrderStream {
  readonly state: State;
  /** The id of the last frame: with it, another watch goes on from here. */
  readonly cursor: string;
  /** The newest published change of an order: the same object until there is a newer one. */
  get(orderId: OrderId): Change | undefined;
  /** The same object until something in it changes. A replay is published as a whole. */
  getSnapshot(): Snapshot;
  /**
   * Calls `render` whenever the snapshot is another. Returns how to stop. Both fit React's
   * `useSyncExternalStore`.
   */
  subscribe(render: () => void): () => void;
  /** Returns how to stop. */
  on<Type extends keyof Events>(type: Type, listener: (event: Events[Type]) => void): () => void;
  /** Lets go of the connection for good. From then on no listener is called. */
  close(): void;
}

/** A number, if it is a safe integer, is the same as its decimal digits. */
export type OrderId = string | number | bigint;

/**
 * Watches 1 to 10 orders on one connection, for as long as the page is shown. For more, call it
 * again: each watch has a cursor and a state of its own.
 *
 * @param url the stream function's, or the prefix under which the page's own origin serves it; a query
 * is kept
 * @throws RangeError where none or more than ten orders are named
 * @throws TypeError where an id is neither text nor a number that is exact
 */
export function watchOrders(url: string | URL, orderIds: Iterable<OrderId>, options?: Options): OrderStream;
