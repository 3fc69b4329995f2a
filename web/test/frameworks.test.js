// The bindings, each with its real framework: on a server, and in a page that jsdom simulates. The components are those of `examples/`.
// `tests/frameworks.rs` shows the examples in real browsers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loadFrameworks, openPage, rendered } from "./frameworks/mounted.js";
import { change, changeOf, createHarness, hello, ready } from "./harness.js";

const URL_OF_STREAM = "https://stream.example/";
const SNAPSHOT = { orders: [changeOf(3)], cursor: "3-0000" };

for (const each of await loadFrameworks()) testFramework(each);

function testFramework(loaded) {
  const { framework, render } = loaded;
  const name = (promise) => `${framework}: ${promise}`;
  const open = (t) => openPage(t, loaded, { url: URL_OF_STREAM, ids: ["A"] });

  test(name("a server renders the options, and opens no stream"), async (t) => {
    const harness = createHarness(t);
    Object.assign(globalThis, { window: undefined, document: undefined });
    for (const [snapshot, text] of [[undefined, "Looking it up"], [SNAPSHOT, "A: S3"]]) {
      const html = await render({ url: "/stream", ids: ["A"], snapshot });
      // Frameworks mark texts by comments.
      assert.match(html.replaceAll(/<!--.*?-->/g, ""), new RegExp(`^<section class="connecting"[^>]*> ?<p[^>]*>${text}</p>`));
    }
    await harness.advance(10_000);
    assert.equal(harness.requests.length, 0);
  });

  test(name("a component shows the orders and the state, and closes the stream when it is unmounted"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show({ ids: ["A", "B"], token: () => "t" });
    assert.deepEqual([shown.text(), shown.state()], ["Looking it up", "connecting"]);
    assert.equal(harness.requests.length, 1);
    assert.equal(harness.last.headers.authorization, "Bearer t");
    await harness.last.open(hello(), change(1), change(1, "1-0000.1-0000", "B"), ready("1-0000.1-0000"));
    await rendered(harness);
    assert.deepEqual([shown.text(), shown.state()], ["A: S1, B: S1", "live"]);
    await harness.last.send(change(2, "2-0000.1-0000"));
    await rendered(harness);
    assert.equal(shown.text(), "A: S2, B: S1");
    await shown.unmount();
    assert.ok(harness.last.aborted);
    await harness.advance(100_000);
    assert.equal(harness.requests.length, 1);
  });

  test(name("a component shows why the orders may be old"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show();
    await harness.last.status(503);
    await rendered(harness);
    assert.deepEqual([shown.state(), shown.error()], ["stale", "503"]);
    await harness.advance(2_000);
    await harness.last.open(hello(), ready("0"));
    await rendered(harness);
    assert.deepEqual([shown.state(), shown.error()], ["live", null]);
    await shown.unmount();
  });

  test(name("hydration changes nothing, and the stream continues at the server's cursor"), async (t) => {
    const { harness, show } = open(t);
    const props = { url: URL_OF_STREAM, ids: ["A"], snapshot: SNAPSHOT };
    const html = await render(props);
    const shown = await show(props, { html, hydrate: true });
    assert.deepEqual([shown.text(), shown.state()], ["A: S3", "connecting"]);
    assert.equal(harness.last.headers["last-event-id"], "3-0000");
    await harness.last.open(hello("3-0000"), change(4), ready("4-0000"));
    await rendered(harness);
    assert.equal(shown.text(), "A: S4");
    await shown.unmount();
  });

  test(name("what is hydrated while another component is live already is what the server rendered"), async (t) => {
    const { harness, show } = open(t);
    const first = await show();
    await harness.last.open(hello(), change(4), ready("4-0000"));
    await rendered(harness);
    const html = await render({ url: URL_OF_STREAM, ids: ["A"] });
    const second = await show({}, { html, hydrate: true });
    assert.deepEqual([second.text(), second.state(), harness.requests.length], ["A: S4", "live", 1]);
    for (const shown of [first, second]) await shown.unmount();
  });

  test(name("if the orders change, another stream is opened, and what is known stays visible"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show();
    const [first] = harness.requests;
    await first.open(hello(), change(1), ready("1-0000"));
    await rendered(harness);
    await shown.set({ ids: ["A", "B"] });
    assert.deepEqual([shown.text(), shown.state()], ["A: S1", "connecting"]);
    assert.ok(first.aborted);
    assert.match(harness.last.url, /order=A&order=B$/);
    await harness.last.open(hello(), change(1, "1-0000.0"), change(1, "1-0000.1-0000", "B"), ready("1-0000.1-0000"));
    await rendered(harness);
    assert.deepEqual([shown.text(), shown.state()], ["A: S1, B: S1", "live"]);
    await shown.set({ ids: ["B"] });
    assert.equal(shown.text(), "B: S1");
    await shown.unmount();
    assert.deepEqual(harness.requests.filter(({ aborted }) => !aborted), []);
  });

  test(name("another list of the same orders keeps the stream"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show();
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await shown.set({ ids: ["A"], token: () => "other" });
    await harness.advance(100);
    assert.deepEqual([harness.requests.length, harness.last.aborted, shown.state()], [1, false, "live"]);
    await shown.unmount();
  });

  test(name("another server is asked for everything, and its orders are not mixed up with those of the first"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show();
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await rendered(harness);
    await shown.set({ url: "https://other.example/" });
    assert.equal(shown.text(), "Looking it up");
    assert.match(harness.last.url, /^https:\/\/other\.example\//);
    await shown.unmount();
  });

  test(name("components with the same orders share a stream, until the last is unmounted"), async (t) => {
    const { harness, show } = open(t);
    const [first, second] = [await show(), await show()];
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await rendered(harness);
    const third = await show({ ids: "A" });
    for (const shown of [first, second, third]) assert.deepEqual([shown.text(), shown.state()], ["A: S1", "live"]);
    for (const shown of [first, third]) await shown.unmount();
    assert.deepEqual([harness.requests.length, harness.last.aborted], [1, false]);
    await second.unmount();
    assert.ok(harness.last.aborted);
  });

  test(name("without orders there is no stream, until there is an order"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show({ ids: [] });
    await shown.set({ ids: undefined });
    await harness.advance(10_000);
    assert.deepEqual([harness.requests.length, shown.text(), shown.state()], [0, "Looking it up", "connecting"]);
    await shown.set({ ids: [7] });
    assert.match(harness.last.url, /order=7$/);
    await shown.unmount();
  });

  test(name("after an unmount, the next component begins again"), async (t) => {
    const { harness, show } = open(t);
    const first = await show();
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await first.unmount();
    const second = await show();
    assert.equal(second.text(), "Looking it up");
    assert.deepEqual([harness.requests.length, harness.last.headers["last-event-id"]], [2, undefined]);
    await second.unmount();
  });

  test(name("a component that is mounted again after a denial is not denied"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show({ token: () => "bad" });
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await harness.last.cut();
    await harness.advance(2_000);
    await harness.last.status(403);
    await rendered(harness);
    assert.equal(shown.state(), "denied");
    await shown.set({ attempt: 2, token: () => "good" });
    assert.deepEqual([shown.state(), shown.text(), harness.requests.length], ["connecting", "Looking it up", 3]);
    assert.equal(harness.last.headers.authorization, "Bearer good");
    await harness.last.open(hello(), change(1), ready("1-0000"));
    await rendered(harness);
    assert.deepEqual([shown.state(), shown.text()], ["live", "A: S1"]);
    await shown.unmount();
    assert.ok(harness.last.aborted);
  });

  test(name("if the orders change, the cursor of the snapshot is not that of the new ones"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show({ snapshot: SNAPSHOT });
    assert.equal(harness.last.headers["last-event-id"], "3-0000");
    for (const ids of [["A", "B"], ["B"], ["B", "A"]]) {
      await shown.set({ ids });
      assert.equal(harness.last.headers["last-event-id"], undefined);
    }
    await shown.unmount();
  });

  test(name("a token function that a later rendering adds is used"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show();
    await shown.set({ token: () => "added" });
    assert.equal(harness.last.headers.authorization, undefined);
    await harness.last.status(401);
    await harness.advance(0);
    assert.equal(harness.last.headers.authorization, "Bearer added");
    await shown.unmount();
  });

  test(name("the token is requested with the newest function"), async (t) => {
    const { harness, show } = open(t);
    const shown = await show({ token: () => "first" });
    await shown.set({ token: () => "second" });
    await harness.last.status(401);
    await harness.advance(0);
    assert.equal(harness.last.headers.authorization, "Bearer second");
    await shown.unmount();
  });
}
