// The bindings with a customer's stream, each with its real framework. The components are in `frameworks/`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loadFrameworks, openPage, rendered } from "./frameworks/mounted.js";
import { change, changeOf, createHarness, gone, hello, ready, replaceGlobals, reset } from "./harness.js";

const URL_OF_STREAM = "https://stream.example/";
const SNAPSHOT = { orders: [changeOf(3), changeOf(1, "B")], cursor: "4-0000_" };

for (const each of await loadFrameworks()) testFramework(each);

function testFramework(loaded) {
  const { framework, render } = loaded;
  const name = (promise) => `${framework}: ${promise}`;
  const open = (t) => openPage(t, loaded, { url: URL_OF_STREAM, customer: "C" });

  /** A component that shows the order A of the customer C. */
  async function openLive(t, props) {
    const { harness, show } = open(t);
    const shown = await show({ token: () => "of C", ...props });
    await harness.last.open(hello(), change(1, "1-0000_"), ready("1-0000"));
    await rendered(harness);
    assert.deepEqual([shown.text(), shown.state()], ["A: S1", "live"]);
    return { harness, show, shown };
  }

  test(name("a component shows the customer's orders: new ones, ones that are gone, and a reset"), async (t) => {
    const { harness, shown } = await openLive(t);
    assert.equal(harness.last.url, "https://stream.example/customers/me/events");
    assert.equal(harness.last.headers.authorization, "Bearer of C");
    for (const [frames, text] of [
      [[change(1, "2-0000", "N")], "A: S1, N: S1"],
      [[gone("A", "3-0000")], "N: S1"],
      [[reset("*")], "N: S1"],
      [[ready("0")], "No orders"],
    ]) {
      await harness.last.send(...frames);
      await rendered(harness);
      assert.equal(shown.text(), text);
    }
    await shown.unmount();
    assert.ok(harness.last.aborted);
  });

  test(name("a server renders the customer's snapshot, and the page continues at its cursor"), async (t) => {
    const { harness, show } = open(t);
    const props = { url: URL_OF_STREAM, customer: "C", snapshot: SNAPSHOT };
    const html = await render(props);
    const shown = await show(props, { html, hydrate: true });
    assert.deepEqual([shown.text(), shown.state()], ["A: S3, B: S1", "connecting"]);
    assert.equal(harness.last.headers["last-event-id"], "4-0000_");
    // The snapshot did not have all orders.
    await harness.last.open(hello("4-0000_"), change(1, "6-0000_", "N"), gone("B", "7-0000_"), ready("7-0000"));
    await rendered(harness);
    assert.equal(shown.text(), "A: S3, N: S1");
    await shown.unmount();
  });

  test(name("a server opens no stream, and shows nothing without a customer"), async (t) => {
    const harness = createHarness(t);
    Object.assign(globalThis, { window: undefined, document: undefined });
    const snapshot = { ...SNAPSHOT, orders: [...SNAPSHOT.orders] };
    for (const [customer, text] of [[undefined, "No orders"], ["C", "A: S3"]]) {
      const html = await render({ url: "/stream", customer, snapshot });
      assert.match(html.replaceAll(/<!--.*?-->/g, ""), new RegExp(`^<section class="connecting"[^>]*> ?<p[^>]*>${text}</p>`));
    }
    await harness.advance(10_000);
    assert.equal(harness.requests.length, 0);
  });

  test(name("if another customer signs in, nothing of the former one is shown"), async (t) => {
    const { harness, shown } = await openLive(t);
    const [first] = harness.requests;
    await shown.set({ customer: undefined, token: undefined });
    assert.deepEqual([shown.text(), shown.state(), first.aborted], ["No orders", "connecting", true]);
    await shown.set({ customer: "D", token: () => "of D" });
    assert.deepEqual([shown.text(), shown.state(), harness.requests.length], ["No orders", "connecting", 2]);
    assert.deepEqual([harness.last.headers.authorization, harness.last.headers["last-event-id"]], ["Bearer of D", undefined]);
    await harness.last.open(hello(), change(1, "1-0000_", "OF-D"), ready("1-0000"));
    await rendered(harness);
    assert.equal(shown.text(), "OF-D: S1");
    await shown.set({ customer: "C", token: () => "of C" });
    assert.equal(shown.text(), "No orders");
    await shown.unmount();
  });

  test(name("another customer does not get the snapshot that the page still passes, nor does a component that is mounted again"), async (t) => {
    const { harness, show } = open(t);
    const snapshot = { ...SNAPSHOT, orders: [...SNAPSHOT.orders] };
    const shown = await show({ snapshot });
    assert.equal(shown.text(), "A: S3, B: S1");
    for (const changed of [{ customer: "D" }, { customer: "E", attempt: 2 }]) {
      await shown.set(changed);
      assert.deepEqual([shown.text(), harness.last.headers["last-event-id"]], ["No orders", undefined]);
    }
    await shown.unmount();
  });

  test(name("components of the same customer share a stream, and those of another one do not"), async (t) => {
    const { harness, show, shown } = await openLive(t);
    const second = await show();
    assert.deepEqual([second.text(), harness.requests.length], ["A: S1", 1]);
    const other = await show({ customer: "D" });
    assert.deepEqual([other.text(), harness.requests.length], ["No orders", 2]);
    for (const component of [shown, second, other]) await component.unmount();
    assert.ok(harness.requests.every(({ aborted }) => aborted));
  });

  for (const [share, text] of [[true, "C"], ["other", "other"]]) {
    test(name(`with the option share: ${share}, the tabs of ${text} share`), async (t) => {
      const { show } = open(t);
      const locks = [];
      replaceGlobals(t, {
        navigator: { locks: { request: async (lock) => void locks.push(lock) } },
        BroadcastChannel: class {
          postMessage() {}
          close() {}
        },
      });
      const shown = await show({ share });
      assert.deepEqual(locks, [`order-status-stream 3 ["https://stream.example/customers/me/events","${text}"]`]);
      await shown.unmount();
    });
  }
}
