// The recipes of docs/page.md and docs/clients.md, read from these files.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { filled, recipes } from "../../tests/clients/recipes.js";
import { appVisibility } from "../frameworks/react-native.js";
import { watchCustomer, watchOrders } from "../order-stream.js";
import { changeOf, createHarness } from "./harness.js";

/** An `EventSource` that the test controls. */
class FakeEventSource extends EventTarget {
  /** @type {FakeEventSource[]} */
  static all = [];
  readyState = 0;

  constructor(url) {
    super();
    this.url = new URL(url);
    FakeEventSource.all.push(this);
    for (const type of ["message", "error"]) this.addEventListener(type, (event) => this[`on${type}`]?.(event));
  }

  static get open() {
    return FakeEventSource.all.filter(({ readyState }) => readyState !== 2);
  }

  static get last() {
    return FakeEventSource.all.at(-1);
  }

  close() {
    this.readyState = 2;
  }

  dispatch(type, data = {}, lastEventId = "1-0000") {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId }));
  }

  /** A real one does this after the platform's 429, or if its token is refused. */
  giveUp() {
    this.readyState = 2;
    this.dispatchEvent(new Event("error"));
  }
}

/** Runs a recipe as a page's script. */
function run(t, code, variables = {}, options) {
  const harness = createHarness(t, options);
  FakeEventSource.all = [];
  Object.defineProperty(harness, "hidden", { get: () => document.visibilityState === "hidden" });
  Object.defineProperty(document, "hidden", { get: () => harness.hidden });
  const later = (callback, delay, ...given) => setTimeout(() => callback(...given), delay);
  const names = { EventSource: FakeEventSource, setTimeout: later, clearTimeout, document, ...variables };
  new Function(...Object.keys(names), code)(...Object.values(names));
  return harness;
}

async function bare(t, options) {
  const [, { code }] = await recipes("docs/page.md", "A bare EventSource");
  const calls = [];
  const getToken = async () => (calls.push(1), `token${calls.length + 1}`);
  const harness = run(t, code, { url: "https://s.example/orders/A/events", token: "token1", getToken }, options);
  return { harness, calls };
}

const query = (source, name) => source.url.searchParams.get(name);

test("the first EventSource of docs/page.md reads its events, and closes at expired and end", async (t) => {
  const [{ code }] = await recipes("docs/page.md", "A bare EventSource");
  for (const type of ["expired", "end"]) {
    run(t, code, { streamUrl: "https://s.example/", orderId: "a b", token: "t" });
    const { last } = FakeEventSource;
    assert.equal(last.url.href, "https://s.example/orders/a%20b/events?access_token=t");
    for (const other of ["ready", "message"]) last.dispatch(other, changeOf(1));
    last.dispatch("reset", { orders: ["a b"] });
    assert.equal(FakeEventSource.open.length, 1);
    last.dispatch(type);
    assert.equal(FakeEventSource.open.length, 0);
  }
});

test("the client's example in each document runs", async (t) => {
  const documents = [["README.md", "Use it from a page"], ["docs/page.md", "The client"], ["docs/page.md", "A customer's stream"], ["web/README.md", "order-status-stream"]];
  for (const [file, heading] of documents) {
    const { code } = (await recipes(file, heading)).find(({ language }) => language === "js");
    const harness = createHarness(t);
    const watched = [];
    const watch = (client) => (...given) => (watched.push(client(...given)), watched[0]);
    const names = { watchOrders: watch(watchOrders), watchCustomer: watch(watchCustomer), streamUrl: "https://s.example/", getToken: () => "token" };
    new Function(...Object.keys(names), code.replace(/^import .*$/m, ""))(...Object.values(names));
    await harness.advance(100_000);
    assert.deepEqual([watched.length, harness.requests.length], [1, 0], "they end with close()");
  }
});

/** Orders in which the EventSource gives up, and the page is hidden and shown. */
for (const steps of ["429 hide show", "429 show", "hide 429 show", "429 hide show wait", "hide show hide show", "429 wait hide show", "429 429 hide wait show wait", "show show"]) {
  test(`the bare EventSource of docs/page.md is open exactly once after ${steps}`, async (t) => {
    const { harness } = await bare(t);
    for (const step of steps.split(" ")) {
      if (step === "429") FakeEventSource.last.giveUp();
      if (step === "hide") await harness.setVisibility("hidden");
      if (step === "show") await harness.setVisibility("visible");
      if (step === "wait") await harness.advance(6_000);
      assert.ok(FakeEventSource.open.length <= 1, step);
      if (harness.hidden) assert.equal(FakeEventSource.open.length, 0, step);
    }
    await harness.advance(6_000);
    assert.equal(FakeEventSource.open.length, 1);
  });
}

test("the bare EventSource of docs/page.md continues at its cursor with a new token", async (t) => {
  const { harness, calls } = await bare(t);
  assert.deepEqual([query(FakeEventSource.last, "access_token"), query(FakeEventSource.last, "lastEventId")], ["token1", ""]);
  FakeEventSource.last.dispatch("hello", {}, "0");
  FakeEventSource.last.dispatch("message", changeOf(1), "1-00+0");
  FakeEventSource.last.dispatch("expired", {}, "1-00+0");
  assert.equal(FakeEventSource.open.length, 0);
  await harness.advance(6_000);
  assert.deepEqual([query(FakeEventSource.last, "access_token"), query(FakeEventSource.last, "lastEventId")], ["token2", "1-00+0"]);
  FakeEventSource.last.giveUp();
  await harness.advance(6_000);
  assert.deepEqual([query(FakeEventSource.last, "access_token"), calls.length], ["token3", 2]);
});

test("the bare EventSource of docs/page.md stops at end", async (t) => {
  const { harness } = await bare(t);
  FakeEventSource.last.dispatch("end");
  await harness.setVisibility("hidden");
  await harness.setVisibility("visible");
  await harness.advance(100_000);
  assert.deepEqual([FakeEventSource.open.length, FakeEventSource.all.length], [0, 1]);
});

test("the bare EventSource of docs/page.md does not open while the page is hidden", async (t) => {
  const { harness } = await bare(t, { hidden: true });
  assert.equal(FakeEventSource.all.length, 0);
  await harness.setVisibility("visible");
  assert.equal(FakeEventSource.open.length, 1);
});

test("the EventSource of docs/clients.md continues at its cursor", async (t) => {
  const [{ code }] = await recipes("docs/clients.md", "`EventSource`");
  const taken = [];
  const take = (type) => taken.push(type);
  const harness = run(t, filled(code, "take(type);"), { streamUrl: "https://s.example/orders/A/events", take });
  FakeEventSource.last.dispatch("message", changeOf(1), "1-0000");
  FakeEventSource.last.giveUp();
  await harness.advance(6_000);
  assert.equal(query(FakeEventSource.last, "lastEventId"), "1-0000");
  FakeEventSource.last.dispatch("end", {}, "1-0000~");
  assert.deepEqual([taken, FakeEventSource.open.length, FakeEventSource.all.length], [["message", "end"], 0, 2]);
});

// Browsers and Node.js run the examples: `tests/frameworks.rs` and `frameworks.test.js`.
for (const [heading, file] of [["React", "react/Orders.jsx"], ["Vue", "vue/Orders.vue"], ["Svelte", "svelte/Orders.svelte"], ["Svelte", "../test/frameworks/Orders4.svelte"]]) {
  test(`docs/page.md has the component of ${file}`, async () => {
    const example = await readFile(new URL(`../examples/${file}`, import.meta.url), "utf8");
    const blocks = await recipes("docs/page.md", heading);
    assert.ok(blocks.some(({ code }) => code === example), `${file} is not under ${heading}`);
  });
}

for (const file of ["CustomerOrders.jsx", "CustomerOrders.svelte"]) {
  test(`docs/page.md has the call of ${file}`, async () => {
    const component = await readFile(new URL(`frameworks/${file}`, import.meta.url), "utf8");
    const call = component.split("\n").find((line) => /ustomerOrders\(url/.test(line)).trim();
    assert.ok((await readFile(new URL("../../docs/page.md", import.meta.url), "utf8")).includes(`\`${call}\``), call);
  });
}

// `make test` installs esbuild. CI must have it.
const hasEsbuild = existsSync(new URL("../node_modules/esbuild", import.meta.url));
if (!hasEsbuild && !process.env.CI) console.error("NOT TESTED: the app of docs/page.md, because npm has not installed esbuild");
else {
  const given = [];
  const hook = (...all) => (given.push(all), { state: "live", orders: [changeOf(1)] });
  const AppState = { currentState: "background", addEventListener: () => {} };
  const Text = ({ children }) => children;
  const names = { useOrderStatus: hook, useCustomerOrders: hook, appVisibility, AppState, Text, fetch: "expo's", getToken: () => "t" };

  /** Both screens are of one app. */
  for (const screen of ['OrderScreen({ id: "A" })', 'OrdersScreen({ customerId: "A" })']) {
    test(`the app of docs/page.md pauses in the background: ${screen}`, async () => {
      const code = (await recipes("docs/page.md", "React Native and Expo")).map(({ code }) => code).join("\n");
      const { transform } = await import("esbuild");
      const { code: plain } = await transform(code.replace(/^import .*$/gm, "").replaceAll("export ", ""), { loader: "jsx", jsxFactory: "h" });
      const h = (type, props, ...children) => type({ ...props, children });
      const shown = new Function("h", ...Object.keys(names), `${plain}; return ${screen};`)(h, ...Object.values(names));
      assert.deepEqual(shown.flat(), ["S1"]);
      const [, watched, { fetch, visibility, token }] = given.at(-1);
      assert.deepEqual([[watched].flat(), fetch, visibility.hidden(), token({})], [["A"], "expo's", true, "t"]);
    });
  }
}
