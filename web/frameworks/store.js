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
  const initial = snapshotOf(ids, options.cursor, options.orders ?? []);
  const others = [...watches.values()].filter((watch) => watch.url === String(url));
  const known = others.flatMap(({ stream }) => stream.getSnapshot().orders);
  // If an order is added, the others stay visible while the new watch begins.
  const beginning = known.length > 0 ? snapshotOf(ids, options.cursor, [...known, ...initial.orders]) : initial;
  return {
    key,
    initial,
    getSnapshot: () => watches.get(key)?.stream.getSnapshot() ?? beginning,
    subscribe(render, newest = () => options) {
      if (ids.length === 0) return () => {};
      const watch = watches.get(key) ?? open(key, url, ids, { ...newest(), orders: beginning.orders });
      const user = () => newest();
      watch.users.add(user);
      const unsubscribe = watch.stream.subscribe(render);
      return () => {
        unsubscribe();
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

function open(key, url, ids, { signal, ...options }) {
  const users = new Set();
  // The newest function, because a component may get another one with each rendering.
  const tokens = () => [...users].flatMap((newest) => newest().token ?? []);
  const token = options.token && ((request) => (tokens().at(-1) ?? options.token)(request));
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

/** @returns {Snapshot} */
function snapshotOf(ids, cursor = "", changes) {
  const orders = ids.flatMap((id) => changes.find(({ orderId }) => orderId === String(id)) ?? []);
  return { state: "connecting", cursor, orders };
}
