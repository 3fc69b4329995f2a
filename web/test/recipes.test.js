// The recipes of docs/page.md and docs/clients.md, read from these files.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { filled, reactPage, recipes } from "../../tests/clients/recipes.js";
import { watchOrders } from "../order-stream.js";
import { change, changeOf, hello, createHarness, ready, settle } from "./harness.js";

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
  for (const [file, heading] of [["README.md", "Use it from a page"], ["docs/page.md", "The client"], ["web/README.md", "order-status-stream"]]) {
    const [{ code }] = await recipes(file, heading);
    const harness = createHarness(t);
    const watched = [];
    const watch = (...given) => (watched.push(watchOrders(...given)), watched[0]);
    const names = { watchOrders: watch, streamUrl: "https://s.example/", getToken: () => "token" };
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

// `make test` installs it. CI must have it.
const hasReact = existsSync(new URL("../../tests/clients/node_modules/react-dom", import.meta.url));
if (!hasReact && !process.env.CI) console.error("NOT TESTED: the React recipe of docs/page.md, because npm has not installed React");
else {
  const main = `
    import { renderToString } from 'react-dom/server';
    function Page({ id = 'A', token, snapshot }) {
      return <OrderStatus id={id} orders={useOrders('https://s.example/', [id], token, snapshot)} />;
    }
    export const page = (props) => renderToString(<Page {...props} />);
    export const status = (orders) => renderToString(<OrderStatus id="A" orders={orders} />);
    export { watchOrders };`;
  const server = async () => import(`data:text/javascript,${encodeURIComponent(await reactPage(main, "node"))}`);

  test("the React recipe of docs/page.md renders on a server, and opens no stream there", async (t) => {
    const { page } = await server();
    const harness = createHarness(t);
    assert.equal(page({}), '<p class="connecting">Looking it up</p>');
    assert.equal(page({ snapshot: { orders: [changeOf(3)], cursor: "3-0000" } }), '<p class="connecting">S3</p>');
    await harness.advance(10_000);
    assert.equal(harness.requests.length, 0);
  });

  test("the React recipe finds a snapshot's order by a number", async (t) => {
    const { page } = await server();
    createHarness(t);
    const snapshot = { orders: [changeOf(3, "7")], cursor: "3-0000" };
    assert.equal(page({ id: 7, snapshot }), '<p class="connecting">S3</p>');
  });

  test("the React component shows any stream that it is given", async (t) => {
    const { status, watchOrders } = await server();
    const harness = createHarness(t);
    const orders = watchOrders("https://s.example/", ["A"]);
    assert.equal(status(orders), '<p class="connecting">Looking it up</p>');
    await harness.advance(0);
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await settle();
    assert.equal(status(orders), '<p class="live">S1</p>');
    orders.close();
  });
}
