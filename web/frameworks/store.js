/**
 * What the bindings for the frameworks have in common: watches that begin with the first component
 * that needs them, and end with the last.
 *
 * @typedef {import("../order-stream.d.ts").Snapshot} Snapshot
 * @typedef {{stream: import("../order-stream.d.ts").OrderStream, users: Set<() => object>}} Watch
 * @typedef {{
 *   key: string,
 *   initial: Snapshot,
 *   getSnapshot(): Snapshot,
 *   subscribe(render: () => void, newest?: () => object): () => void,
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
 * @param {unknown} orders an id or several
 * @param {object} [options] those of `watchOrders`
 * @returns {Store}
 */
export function orderStore(url, orders, options = {}) {
  const ids = listOf(orders);
  const key = storeKey(url, orders);
  const initial = snapshotOf(ids, options.cursor, options.orders ?? []);
  const known = [...watches.values()].flatMap(({ stream }) => stream.getSnapshot().orders);
  // If an order is added, the others stay visible while the new watch begins.
  const beginning = known.length > 0 ? snapshotOf(ids, options.cursor, [...known, ...initial.orders]) : initial;
  return {
    key,
    initial,
    getSnapshot: () => watches.get(key)?.stream.getSnapshot() ?? beginning,
    subscribe(render, newest = () => options) {
      if (ids.length === 0) return () => {};
      const watch = watches.get(key) ?? open(key, url, ids, { ...newest(), orders: beginning.orders });
      const user = () => newest() ?? {};
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
  // The newest options, because a component may get another function with each rendering.
  const token = options.token && ((request) => [...users].at(-1)?.().token?.(request));
  const watch = { users, stream: watchOrders(url, ids, { ...options, token }) };
  watches.set(key, watch);
  return watch;
}

function closeUnused(key, watch) {
  if (watch.users.size > 0 || watches.get(key) !== watch) return;
  watches.delete(key);
  watch.stream.close();
}

/** @returns {unknown[]} */
function listOf(orders) {
  if (orders === undefined || orders === null) return [];
  const isOne = typeof orders !== "object";
  return isOne ? [orders] : [...orders];
}

/** @returns {Snapshot} */
function snapshotOf(ids, cursor = "", changes) {
  const orders = ids.flatMap((id) => changes.find(({ orderId }) => orderId === String(id)) ?? []);
  return { state: "connecting", cursor, orders };
}
