/**
 * What the bindings for the frameworks have in common: watches that begin with the first component
 * that needs them, and end with the last.
 *
 * @typedef {import("../order-stream.d.ts").OrderStream} OrderStream
 * @typedef {import("../order-stream.d.ts").Snapshot} Snapshot
 * @typedef {import("./store.d.ts").WatchOptions} WatchOptions
 * @typedef {{url: string | undefined, users: Set<() => WatchOptions>, stream: OrderStream}} Watch
 * @typedef {{
 *   key: string,
 *   url?: string,
 *   isNothing: boolean,
 *   begin(options: WatchOptions): {initial: Snapshot, beginning: Snapshot},
 *   watch(options: WatchOptions): OrderStream,
 * }} Watched what a component names: orders or a customer. `key` is equal for the same ones at the same URL.
 *   `url` is missing for a customer: the orders of a customer are not shown in another watch
 * @typedef {{
 *   key: string,
 *   initial: Snapshot,
 *   getSnapshot(): Snapshot,
 *   subscribe(render: () => void, newest?: () => WatchOptions): () => void,
 * }} Store
 */

import { watchCustomer, watchOrders } from "../order-stream.js";

/** Components that name the same URL and orders, or customer, share a watch. @type {Map<string, Watch>} */
const watches = new Map();

/** The `key` with which a snapshot was used first, by the list of its orders. @type {WeakMap<object, string>} */
const owners = new WeakMap();

/** @param {string | URL} url @param {import("./store.d.ts").Orders} orders @returns {Watched} */
export function ofOrders(url, orders) {
  const ids = [...new Set([orders ?? []].flat())];
  return {
    key: JSON.stringify([String(url), ...ids.map(String)]),
    url: String(url),
    isNothing: ids.length === 0,
    begin({ cursor, orders: given = [] }) {
      const initial = snapshotOf(ids, isOf(ids, given) ? cursor : "", given);
      const others = [...watches.values()].filter((watch) => watch.url === String(url) && !isDenied(watch));
      const known = others.flatMap(({ stream }) => stream.getSnapshot().orders);
      // If an order is added, the others stay visible while the new watch begins.
      return { initial, beginning: known.length > 0 ? snapshotOf(ids, initial.cursor, [...known, ...given]) : initial };
    },
    watch: (options) => watchOrders(url, ids, options),
  };
}

/**
 * The customer's name only separates customers from each other, because all have the same URL. If
 * another one signs in on the page, nothing of the former one may be shown, not even a snapshot that
 * the page still passes.
 *
 * @param {string | URL} url @param {import("./store.d.ts").Customer} customer @returns {Watched}
 */
export function ofCustomer(url, customer) {
  // As text, every object is the same. It is probably the options.
  if (Object(customer) === customer) throw new TypeError("the second argument says who the customer is: a text or a number");
  const name = String(customer ?? "");
  const key = JSON.stringify([String(url), { customer: name }]);
  const isNothing = name === "";
  return {
    key,
    isNothing,
    begin({ cursor = "", orders }) {
      if (orders && !isNothing && !owners.has(orders)) owners.set(orders, key);
      const isOwn = orders && owners.get(orders) === key;
      const initial = { state: "connecting", cursor: isOwn ? cursor : "", orders: isOwn ? orders : [] };
      return { initial, beginning: initial };
    },
    watch: ({ share, ...options }) => watchCustomer(url, { ...options, share: share === true ? name : share }),
  };
}

/**
 * `initial` is what a server renders, and what hydration begins with: it depends only on the options.
 * Without orders or a customer, nothing is watched.
 *
 * @param {Watched} watched
 * @param {WatchOptions} [options]
 * @returns {Store}
 */
export function createStore(watched, options = {}) {
  const { key } = watched;
  const { initial, beginning } = watched.begin(options);
  /** The watch of this component. @type {Watch | undefined} */
  let joined;
  return {
    key,
    initial,
    getSnapshot: () => (joined ?? openWatch(key))?.stream.getSnapshot() ?? beginning,
    subscribe(render, newest = () => options) {
      if (watched.isNothing) return () => {};
      // `newest` may have a newer cursor. Without its orders, the changes in between would be lost.
      const { cursor, orders } = beginning;
      const watch = (joined = openWatch(key) ?? open(watched, { ...newest(), cursor, orders }));
      const user = () => newest();
      watch.users.add(user);
      const unsubscribe = watch.stream.subscribe(render);
      return () => {
        unsubscribe();
        if (joined === watch) joined = undefined;
        watch.users.delete(user);
        // Not at once: React's StrictMode and a change of the page subscribe again in the same turn.
        queueMicrotask(() => closeUnused(key, watch));
      };
    },
  };
}

/** A component that is mounted again after a denial, with another token, needs another watch. */
function openWatch(key) {
  const watch = watches.get(key);
  return watch && !isDenied(watch) ? watch : undefined;
}

function isDenied({ stream }) {
  return stream.state === "denied";
}

function open({ key, url, watch }, { signal, ...options }) {
  const users = new Set();
  // The newest function, because a component may get another one, or its first, with each rendering.
  const tokens = () => [...users].flatMap((newest) => newest().token ?? []);
  const token = (request) => (tokens().at(-1) ?? options.token)?.(request);
  const opened = { url, users, stream: watch({ ...options, token }) };
  watches.set(key, opened);
  return opened;
}

function closeUnused(key, watch) {
  if (watch.users.size > 0 || watches.get(key) !== watch) return;
  watches.delete(key);
  watch.stream.close();
}

/** Whether these are the changes of all these orders, in the same sequence, as a cursor has its marks. */
function isOf(ids, changes) {
  return changes.length === ids.length && ids.every((id, at) => changes[at].orderId === String(id));
}

/** @returns {Snapshot} the newest of the changes of each order */
function snapshotOf(ids, cursor = "", changes) {
  const newest = (id) => changes.filter(({ orderId }) => orderId === String(id)).sort((a, b) => b.seq - a.seq);
  return { state: "connecting", cursor, orders: ids.flatMap((id) => newest(id).slice(0, 1)) };
}
