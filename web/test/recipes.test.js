// The recipes of docs/page.md and docs/clients.md, as they stand there.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { filled, reactPage, recipes } from "../../tests/clients/recipes.js";
import { watchOrders } from "../order-stream.js";
import { change, changeOf, hello, play, ready, settle } from "./stage.js";

/** An `EventSource` that does what the test says. */
class PlayedSource extends EventTarget {
  /** @type {PlayedSource[]} */
  static all = [];
  readyState = 0;

  constructor(url) {
    super();
    this.url = new URL(url);
    PlayedSource.all.push(this);
    for (const type of ["message", "error"]) this.addEventListener(type, (event) => this[`on${type}`]?.(event));
  }

  static get open() {
    return PlayedSource.all.filter(({ readyState }) => readyState !== 2);
  }

  static get last() {
    return PlayedSource.all.at(-1);
  }

  close() {
    this.readyState = 2;
  }

  tell(type, data = {}, lastEventId = "1-0000") {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId }));
  }

  /** As after the platform's 429, or a refused token. */
  giveUp() {
    this.readyState = 2;
    this.dispatchEvent(new Event("error"));
  }
}

/** Runs a recipe as a page's script. */
function run(t, code, variables = {}, options) {
  const stage = play(t, options);
  PlayedSource.all = [];
  Object.defineProperty(stage, "hidden", { get: () => document.visibilityState === "hidden" });
  Object.defineProperty(document, "hidden", { get: () => stage.hidden });
  const later = (callback, delay, ...given) => setTimeout(() => callback(...given), delay);
  const names = { EventSource: PlayedSource, setTimeout: later, clearTimeout, document, ...variables };
  new Function(...Object.keys(names), code)(...Object.values(names));
  return stage;
}

async function bare(t, options) {
  const [, { code }] = await recipes("docs/page.md", "A bare EventSource");
  const asked = [];
  const getToken = async () => (asked.push(1), `token${asked.length + 1}`);
  const stage = run(t, code, { url: "https://s.example/orders/A/events", token: "token1", getToken }, options);
  return { stage, asked };
}

const query = (source, name) => source.url.searchParams.get(name);

test("docs/page.md's first EventSource reads what there is, and closes", async (t) => {
  const [{ code }] = await recipes("docs/page.md", "A bare EventSource");
  for (const type of ["expired", "end"]) {
    run(t, code, { streamUrl: "https://s.example/", orderId: "a b", token: "t" });
    const { last } = PlayedSource;
    assert.equal(last.url.href, "https://s.example/orders/a%20b/events?access_token=t");
    for (const of of ["ready", "message"]) last.tell(of, changeOf(1));
    last.tell("reset", { orders: ["a b"] });
    assert.equal(PlayedSource.open.length, 1);
    last.tell(type);
    assert.equal(PlayedSource.open.length, 0);
  }
});

test("the first lines of each document with the client run", async (t) => {
  for (const [file, heading] of [["README.md", "Use it from a page"], ["docs/page.md", "The client"], ["web/README.md", "order-status-stream"]]) {
    const [{ code }] = await recipes(file, heading);
    const stage = play(t);
    const watched = [];
    const watch = (...given) => (watched.push(watchOrders(...given)), watched[0]);
    const names = { watchOrders: watch, streamUrl: "https://s.example/", getToken: () => "token" };
    new Function(...Object.keys(names), code.replace(/^import .*$/m, ""))(...Object.values(names));
    await stage.pass(100_000);
    assert.deepEqual([watched.length, stage.requests.length], [1, 0], "they end with close()");
  }
});

/** Every order in which a page may be given up on, hidden and shown. */
for (const happens of ["429 hide show", "429 show", "hide 429 show", "429 hide show wait", "hide show hide show", "429 wait hide show", "429 429 hide wait show wait", "show show"]) {
  test(`docs/page.md's bare EventSource is one after ${happens}`, async (t) => {
    const { stage } = await bare(t);
    for (const what of happens.split(" ")) {
      if (what === "429") PlayedSource.last.giveUp();
      if (what === "hide") await stage.show("hidden");
      if (what === "show") await stage.show("visible");
      if (what === "wait") await stage.pass(6_000);
      assert.ok(PlayedSource.open.length <= 1, what);
      if (stage.hidden) assert.equal(PlayedSource.open.length, 0, what);
    }
    await stage.pass(6_000);
    assert.equal(PlayedSource.open.length, 1);
  });
}

test("docs/page.md's bare EventSource goes on where it was, with another token", async (t) => {
  const { stage, asked } = await bare(t);
  assert.deepEqual([query(PlayedSource.last, "access_token"), query(PlayedSource.last, "lastEventId")], ["token1", ""]);
  PlayedSource.last.tell("hello", {}, "0");
  PlayedSource.last.tell("message", changeOf(1), "1-00+0");
  PlayedSource.last.tell("expired", {}, "1-00+0");
  assert.equal(PlayedSource.open.length, 0);
  await stage.pass(6_000);
  assert.deepEqual([query(PlayedSource.last, "access_token"), query(PlayedSource.last, "lastEventId")], ["token2", "1-00+0"]);
  PlayedSource.last.giveUp();
  await stage.pass(6_000);
  assert.deepEqual([query(PlayedSource.last, "access_token"), asked.length], ["token3", 2]);
});

test("docs/page.md's bare EventSource stops at the end", async (t) => {
  const { stage } = await bare(t);
  PlayedSource.last.tell("end");
  await stage.show("hidden");
  await stage.show("visible");
  await stage.pass(100_000);
  assert.deepEqual([PlayedSource.open.length, PlayedSource.all.length], [0, 1]);
});

test("docs/page.md's bare EventSource waits for a hidden page to be shown", async (t) => {
  const { stage } = await bare(t, { hidden: true });
  assert.equal(PlayedSource.all.length, 0);
  await stage.show("visible");
  assert.equal(PlayedSource.open.length, 1);
});

test("the EventSource of docs/clients.md goes on where it was", async (t) => {
  const [{ code }] = await recipes("docs/clients.md", "`EventSource`");
  const taken = [];
  const take = (type) => taken.push(type);
  const stage = run(t, filled(code, "take(type);"), { streamUrl: "https://s.example/orders/A/events", take });
  PlayedSource.last.tell("message", changeOf(1), "1-0000");
  PlayedSource.last.giveUp();
  await stage.pass(6_000);
  assert.equal(query(PlayedSource.last, "lastEventId"), "1-0000");
  PlayedSource.last.tell("end", {}, "1-0000~");
  assert.deepEqual([taken, PlayedSource.open.length, PlayedSource.all.length], [["message", "end"], 0, 2]);
});

// Installed by `make test`. CI must have it.
const hasReact = existsSync(new URL("../../tests/clients/node_modules/react-dom", import.meta.url));
if (!hasReact && !process.env.CI) console.error("NOT TESTED: docs/page.md's recipe for React, for npm has not installed it");
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

  test("docs/page.md's recipe for React renders on a server, and opens no stream there", async (t) => {
    const { page } = await server();
    const stage = play(t);
    assert.equal(page({}), '<p class="connecting">Looking it up</p>');
    assert.equal(page({ snapshot: { orders: [changeOf(3)], cursor: "3-0000" } }), '<p class="connecting">S3</p>');
    await stage.pass(10_000);
    assert.equal(stage.requests.length, 0);
  });

  test("its ids may be numbers, before the stream is open too", async (t) => {
    const { page } = await server();
    play(t);
    const snapshot = { orders: [changeOf(3, "7")], cursor: "3-0000" };
    assert.equal(page({ id: 7, snapshot }), '<p class="connecting">S3</p>');
  });

  test("its component shows a stream that was made elsewhere", async (t) => {
    const { status, watchOrders } = await server();
    const stage = play(t);
    const orders = watchOrders("https://s.example/", ["A"]);
    assert.equal(status(orders), '<p class="connecting">Looking it up</p>');
    await stage.pass(0);
    await stage.last.open(hello(), change(1), ready("1-0000"));
    await settle();
    assert.equal(status(orders), '<p class="live">S1</p>');
    orders.close();
  });
}
