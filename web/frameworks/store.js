/**
 * What the bindings for the frameworks have in common: watches that begin with the first component
 * that needs them, and end with the last.
 *
 * @typedef {import("../order-stream.d.ts").Snapshot} Snapshot
 * @typedef {import("./store.d.ts").WatchOptions} WatchOptions
 * @typedef {{url: string, users: Set<() => WatchOptions>, stream: import("../order-stream.d.ts").OrderStream}} Watch
 * @typedef {{
 *   key: string,
 *   initial: Snapshot,
 *   getSnapshot(): Snapshot,
 *   subscribe(render: () => void, newest?: () => WatchOptions): () => void,
 * }} Store
 */

import { watchOrders } from "../order-stream.js";

/** Components that name the same URL and orders share a watch. @type {Map<string, Watch>} */
const watches = new Map();

/**
 * `initial` is what a server renders, and what hydration begins with: nothing but the options decides
 * it. Without orders, nothing is watched.
 *
 * @param {string | URL} url
 * @param {import("./store.d.ts").Orders} orders
 * @param {WatchOptions} [options]
 * @returns {Store}
 */
export function orderStore(url, orders, options = {}) {
  const ids = listOf(orders);
  const key = storeKey(url, orders);
  const given = options.orders ?? [];
  const initial = snapshotOf(ids, isOf(ids, given) ? options.cursor : "", given);
  const others = [...watches.values()].filter((watch) => watch.url === String(url) && !isDenied(watch));
  const known = others.flatMap(({ stream }) => stream.getSnapshot().orders);
  // If an order is added, the others stay visible while the new watch begins.
  const beginning = known.length > 0 ? snapshotOf(ids, initial.cursor, [...known, ...given]) : initial;
  /** The watch of this component. @type {Watch | undefined} */
  let joined;
  return {
    key,
    initial,
    getSnapshot: () => (joined ?? openWatch(key))?.stream.getSnapshot() ?? beginning,
    subscribe(render, newest = () => options) {
      if (ids.length === 0) return () => {};
      // `newest` may have a newer cursor. Without its orders, the changes in between would be lost.
      const { cursor, orders } = beginning;
      const watch = (joined = openWatch(key) ?? open(key, url, ids, { ...newest(), cursor, orders }));
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

/** Equal for the same URL and orders. */
export function storeKey(url, orders) {
  return JSON.stringify([String(url), ...listOf(orders).map(String)]);
}

/** A component that is mounted anew after a denial, with another token, needs another watch. */
function openWatch(key) {
  const watch = watches.get(key);
  return watch && !isDenied(watch) ? watch : undefined;
}

function isDenied({ stream }) {
  return stream.state === "denied";
}

function open(key, url, ids, { signal, ...options }) {
  const users = new Set();
  // The newest function, because a component may get another one, or its first, with each rendering.
  const tokens = () => [...users].flatMap((newest) => newest().token ?? []);
  const token = (request) => (tokens().at(-1) ?? options.token)?.(request);
  const watch = { url: String(url), users, stream: watchOrders(url, ids, { ...options, token }) };
  watches.set(key, watch);
  return watch;
}

function closeUnused(key, watch) {
  if (watch.users.size > 0 || watches.get(key) !== watch) return;
  watches.delete(key);
  watch.stream.close();
}

/** @param {import("./store.d.ts").Orders} orders */
function listOf(orders) {
  return [...new Set([orders ?? []].flat())];
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
