// React Native, Expo, and any other place that is no page: without `window`, `document`, `EventSource` and a global `fetch`.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { appVisibility } from "../frameworks/react-native.js";
import { watchOrders } from "../order-stream.js";
import { PAGE_GLOBALS, change, createApp, createHarness, hello, ready, replaceGlobals } from "./harness.js";

test("every module can be imported where no global of a page exists", () => {
  const modules = ["order-stream.js", "frameworks/react-native.js", "frameworks/svelte.js"].map((file) => new URL(`../${file}`, import.meta.url).href);
  const more = ["URL", "atob", "AbortController", "TextDecoder"];
  const script = `
    for (const name of ${JSON.stringify([...PAGE_GLOBALS, ...more])}) delete globalThis[name];
    for (const module of ${JSON.stringify(modules)}) await import(module);
    console.log(typeof window, typeof fetch, typeof URL);`;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  assert.equal(output, "undefined undefined undefined\n");
});

test("an app hands its fetch in", async (t) => {
  const { harness, fetch } = createApp(t);
  const orders = watchOrders("https://stream.example/", ["A"], { fetch, token: () => "t", share: true });
  await harness.advance(0);
  assert.deepEqual([harness.last.url, harness.last.headers.authorization], ["https://stream.example/orders/events?order=A", "Bearer t"]);
  await harness.last.open(hello(), change(1), ready("1-0000"));
  assert.deepEqual([orders.state, orders.get("A").seq], ["live", 1]);
  orders.close();
  assert.ok(harness.last.aborted);
});

test("neither fetch nor token is called as a method of another object", async (t) => {
  const { harness, fetch } = createApp(t);
  const owners = [];
  // A browser's own fetch throws "Illegal invocation" then.
  function native(...request) {
    owners.push(this);
    return fetch(...request);
  }
  function token() {
    owners.push(this);
    return "t";
  }
  const orders = watchOrders("https://stream.example/", ["A"], { fetch: native, token });
  await harness.advance(0);
  assert.deepEqual([owners, harness.requests.length], [[undefined, undefined], 1]);
  orders.close();
});

test("without any fetch the state says so, and does not throw", async (t) => {
  const { harness } = createApp(t);
  const orders = watchOrders("https://stream.example/", ["A"]);
  await harness.advance(0);
  const { state, error } = orders.getSnapshot();
  assert.deepEqual([state, /fetch/.test(error.reason)], ["stale", true]);
  orders.close();
});

test("a fetch that cannot stream is named", async (t) => {
  const { harness } = createApp(t);
  const fetch = async () => ({ status: 200, headers: new Headers({ "content-type": "text/event-stream" }), body: undefined });
  const orders = watchOrders("https://stream.example/", ["A"], { fetch });
  await harness.advance(0);
  assert.equal(orders.getSnapshot().error.reason, "this fetch returns no stream: pass another as the option `fetch`");
  orders.close();
});

test("React Native's window has no listeners, and its URL has no setters and appends a slash", async (t) => {
  const { harness, fetch } = createApp(t);
  class ReadOnlyUrl {
    #url;
    constructor(url) {
      this.#url = url.endsWith("/") ? url : `${url}/`;
    }
    get href() {
      return this.#url;
    }
  }
  replaceGlobals(t, { window: globalThis, URL: ReadOnlyUrl });
  for (const [url, path] of [["api/?tenant=1", "api/orders/events?tenant=1&"], ["api", "api/orders/events?"], ["?tenant=1#a", "orders/events?tenant=1&"]]) {
    const orders = watchOrders(`https://stream.example/${url}`, ["A", "a/b"], { fetch });
    await harness.advance(0);
    const [address] = harness.last.url.split("#");
    assert.equal(address, `https://stream.example/${path}order=A&order=a%2Fb`);
    orders.close();
  }
});

/** React Native's `AppState`, as far as it is used. */
class FakeAppState {
  currentState = "active";
  listeners = new Set();

  addEventListener(type, listener) {
    assert.equal(type, "change");
    this.listeners.add(listener);
    return { remove: () => this.listeners.delete(listener) };
  }

  set(state) {
    this.currentState = state;
    for (const listener of this.listeners) listener(state);
  }
}

test("an app in the background sends no requests, and is up to date at once when it is back", async (t) => {
  const { harness, fetch } = createApp(t);
  const appState = new FakeAppState();
  const orders = watchOrders("https://stream.example/", ["A"], { fetch, visibility: appVisibility(appState) });
  await harness.advance(0);
  await harness.last.open(hello(), change(1), ready("1-0000"));
  appState.set("inactive");
  assert.ok(!harness.last.aborted);
  appState.set("background");
  assert.deepEqual([harness.last.aborted, orders.state], [true, "connecting"]);
  await harness.advance(1_000_000);
  assert.equal(harness.requests.length, 1);
  appState.set("active");
  await harness.advance(0);
  assert.equal(harness.last.headers["last-event-id"], "1-0000");
  orders.close();
  assert.equal(appState.listeners.size, 0);
});

test("an app that starts in the background opens no stream until it is in front", async (t) => {
  const { harness, fetch } = createApp(t);
  const appState = Object.assign(new FakeAppState(), { currentState: "background" });
  const orders = watchOrders("https://stream.example/", ["A"], { fetch, visibility: appVisibility(appState) });
  await harness.advance(10_000);
  assert.equal(harness.requests.length, 0);
  appState.set("active");
  await harness.advance(0);
  assert.equal(harness.requests.length, 1);
  orders.close();
});

test("in a page, the option visibility replaces the page's own", async (t) => {
  const harness = createHarness(t);
  const visibility = { hidden: () => false, subscribe: () => () => {} };
  const orders = watchOrders("https://stream.example/", ["A"], { visibility });
  await harness.advance(0);
  await harness.setVisibility("hidden");
  assert.ok(!harness.last.aborted);
  await harness.fire("pagehide");
  assert.ok(harness.last.aborted, "but a page in the back/forward cache has no stream");
  orders.close();
});

test("a visibility that calls a listener once more after it was removed opens nothing", async (t) => {
  const harness = createHarness(t);
  const listeners = [];
  const visibility = { hidden: () => false, subscribe: (listener) => (listeners.push(listener), () => {}) };
  watchOrders("https://stream.example/", ["A"], { visibility }).close();
  for (const listener of listeners) listener();
  await harness.advance(0);
  assert.deepEqual([listeners.length, harness.requests.length], [1, 0]);
});
