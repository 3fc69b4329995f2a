// The customers' panels of the demo page, with the client and a fake server, in a page that jsdom simulates. `tests/demo_page.rs` opens the whole
// page in a browser.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { NOW, createHarness, gone, hello, ready, replaceGlobals, reset, rest } from "./harness.js";

// `make test` installs it. CI must have it.
const isInstalled = existsSync(new URL("../node_modules/jsdom", import.meta.url));
if (!isInstalled && !process.env.CI) console.error("NOT TESTED: the demo page's panels, because npm has not installed jsdom");
else {
  const { JSDOM } = await import("jsdom");
  const html = await readFile(new URL("../index.html", import.meta.url), "utf8");
  const { Customer } = await import("../demo/customer.js");
  const { arrange } = await import("../dom.js");

  const at = (ago) => new Date(NOW - ago).toISOString();
  const changed = (orderId, seq, status, ago = 0) =>
    `data: ${JSON.stringify({ orderId, seq, status, previous: null, at: at(ago), attributes: {} })}\nid: ${seq}\n\n`;

  /** Ada's panel, whose stream has been opened, and what was posted to the shop. */
  async function open(t, answer = () => ({})) {
    const page = new JSDOM(html, { url: "https://shop.example/" }).window;
    const harness = createHarness(t, { page });
    replaceGlobals(t, { customElements: page.customElements });
    const posted = [];
    const shop = {
      post: async (path) => (posted.push(path), answer(path)),
      token: async () => "t",
    };
    const ada = new Customer("ada", shop);
    page.document.getElementById("customers").append(ada.panel);
    ada.watch("/connections/ada/stream");
    await harness.advance(0);
    return {
      ada,
      harness,
      posted,
      page,
      all: (selector) => [...ada.panel.querySelectorAll(selector)].map(({ textContent }) => textContent.replaceAll(/\s+/g, " ").trim()),
      one: (selector) => ada.panel.querySelector(selector),
      said: () => [...page.document.querySelectorAll("#announcements p")].map(({ textContent }) => textContent),
      async press(selector) {
        ada.panel.querySelector(selector).click();
        await harness.advance(0);
      },
    };
  }

  test("a customer's orders are shown when all of them have come, open ones first", async (t) => {
    const { harness, all, one, said } = await open(t);
    assert.equal(harness.last.url, "https://shop.example/connections/ada/stream/customers/me/events");
    await harness.last.open(hello(), changed("A", 5, "DELIVERED", 60_000), changed("B", 2, "PAID", 9_000), changed("C", 1, "PLACED"));
    assert.deepEqual(all(".card .label"), []);
    await harness.last.send(ready("3"));
    assert.deepEqual(all(".card .label"), ["Placed", "Paid", "Delivered"]);
    assert.deepEqual(all(".card .meta"), ["Order Cjust now", "Order B9 sec ago", "Order A1 min ago"]);
    assert.equal(one("[data-order=B] .steps").querySelectorAll(".done").length, 2);
    assert.equal(one("[data-order=B] a").getAttribute("href"), "order.html?order=B");
    assert.equal(one("[data-order=A] button").hidden, true);
    assert.equal(one(".none").hidden, true);
    // Nobody asked for these changes, and they come all the time.
    await harness.last.send(changed("B", 3, "PREPARING"), changed("D", 1, "PLACED"));
    assert.deepEqual(all(".card .label"), ["Placed", "Placed", "Preparing", "Delivered"]);
    assert.deepEqual(said(), []);
  });

  test("data of the stream is text, never markup", async (t) => {
    const { harness, all, one } = await open(t);
    await harness.last.open(hello(), changed("<b>A</b>", 1, "<img src=x>"), ready("1"));
    assert.deepEqual(all(".card .label"), ["<img src=x>"]);
    assert.equal(one(".card img, .card b"), null);
    assert.equal(one(".card a").getAttribute("href"), "order.html?order=%3Cb%3EA%3C%2Fb%3E");
  });

  test("only some finished orders are shown, and the others are counted", async (t) => {
    const { harness, all, one } = await open(t);
    const finished = ["A", "B", "C", "D"].map((id, nth) => changed(id, 5, "DELIVERED", 1_000 * nth));
    await harness.last.open(hello(), ...finished, ready("1"));
    assert.deepEqual(all(".card a"), ["Order A", "Order B"]);
    assert.equal(one(".more").textContent, "and 2 finished before");
  });

  test("an order that the visitor places or moves on is read out once", async (t) => {
    const { harness, posted, press, said } = await open(t, () => ({ orderId: "N", status: "PLACED" }));
    await harness.last.open(hello(), changed("B", 2, "PAID"), ready("1"));
    await press(".place");
    await harness.last.send(changed("B", 3, "PREPARING"), changed("N", 1, "PLACED"), changed("N", 2, "PAID"));
    await press("[data-order=N] .advance");
    await harness.last.send(changed("N", 3, "PREPARING"), changed("N", 4, "SHIPPED"));
    assert.deepEqual(posted, ["/customers/ada/orders", "/orders/N/advance"]);
    assert.deepEqual(said(), ["Ada: order N is there, placed.", "Ada: order N is preparing."]);
  });

  test("a button keeps the focus when its order is finished, and does nothing then", async (t) => {
    const { harness, one, page, posted, press } = await open(t);
    await harness.last.open(hello(), changed("B", 2, "PAID"), ready("1"));
    const button = one("[data-order=B] .advance");
    button.focus();
    await harness.last.send(changed("B", 3, "DELIVERED"));
    assert.equal(page.document.activeElement, button);
    assert.equal(button.hidden, false);
    await press("[data-order=B] .advance");
    assert.deepEqual(posted, []);
  });

  test("a card keeps the focus when the order above it is finished", async (t) => {
    const { harness, one, all, page } = await open(t);
    await harness.last.open(hello(), changed("A", 2, "PAID"), changed("B", 2, "PAID"), changed("C", 2, "PAID"), ready("1"));
    const link = one("[data-order=B] a");
    link.focus();
    await harness.last.send(changed("C", 3, "DELIVERED"));
    assert.deepEqual(all(".card a"), ["Order B", "Order A", "Order C"]);
    assert.equal(page.document.activeElement, link);
  });

  test("elements that stay are arranged around the one with the focus", async (t) => {
    const { document } = new JSDOM("<ol><li>A<a href=#></a></li><li>B<a href=#></a></li><li>C<a href=#></a></li></ol>").window;
    const list = document.querySelector("ol");
    const [a, b, c] = list.children;
    const d = document.createElement("li");
    for (const focused of [a, b, c]) {
      focused.querySelector("a").focus();
      for (const items of [[a, b, c], [c, b, a], [b, a, c], [d, c, a, b], [b, c, d, a], [a, c, b, d], [c, a, d, b]]) {
        arrange(list, items);
        assert.deepEqual([...list.children], items);
        assert.equal(document.activeElement, focused.querySelector("a"));
      }
    }
  });

  test("a finished order with the focus stays while others finish", async (t) => {
    const { harness, all, one, page } = await open(t);
    await harness.last.open(hello(), ...["A", "B", "C", "D"].map((id) => changed(id, 4, "SHIPPED")), ready("1"));
    const button = one("[data-order=A] .advance");
    button.focus();
    for (const [nth, id] of ["A", "B", "C", "D"].entries()) await harness.last.send(changed(id, 5, "DELIVERED", 5_000 - 1_000 * nth));
    assert.equal(page.document.activeElement, button);
    assert.deepEqual(all(".card a"), ["Order D", "Order C", "Order A"]);
    assert.equal(one(".more").textContent, "and 1 finished before");
    button.blur();
    await harness.last.send(changed("E", 1, "PLACED"));
    assert.deepEqual(all(".card a"), ["Order E", "Order D", "Order C"]);
    assert.equal(one(".more").textContent, "and 2 finished before");
  });

  test("an order that is no longer the customer's disappears at once, and is not counted", async (t) => {
    const { harness, all, one } = await open(t);
    const finished = ["A", "B", "C", "D"].map((id, nth) => changed(id, 5, "DELIVERED", 1_000 * nth));
    await harness.last.open(hello(), ...finished, changed("E", 1, "PLACED"), ready("1"));
    await harness.last.send(gone("E", "2"));
    assert.deepEqual(all(".card a"), ["Order A", "Order B"]);
    await harness.last.send(gone("D", "3"));
    assert.equal(one(".more").textContent, "and 1 finished before");
    // One that was not shown changes again.
    await harness.last.send(changed("C", 6, "REMOVED"));
    assert.equal(one(".more").textContent, "and 1 finished before");
    await harness.last.send(reset("*"), changed("A", 5, "DELIVERED"), ready("4"));
    assert.deepEqual(all(".card a"), ["Order A"]);
    assert.equal(one(".more").hidden, true);
  });

  const REPLAY = [changed("A", 3, "PAID"), changed("B", 2, "PAID"), changed("C", 1, "PLACED")];

  test("while a replay comes after a reset, the cards and the focus stay", async (t) => {
    const { harness, all, one, page } = await open(t);
    await harness.last.open(hello(), ...REPLAY, ready("1"));
    const before = [...one(".cards").children];
    const link = one("[data-order=B] a");
    link.focus();
    await harness.last.send(reset("*"), ...REPLAY);
    assert.deepEqual([...one(".cards").children], before);
    assert.equal(page.document.activeElement, link);
    await harness.last.send(changed("A", 4, "SHIPPED"), gone("C", "2"));
    assert.deepEqual(all(".card .label"), ["Placed", "Paid", "Paid"]);
    await harness.last.send(ready("3"));
    assert.deepEqual(all(".card .label"), ["Paid", "Shipped"]);
    assert.deepEqual([one(".arrives"), page.document.activeElement], [null, link]);
  });

  test("a page that is shown again shows what came meanwhile at once", async (t) => {
    const { harness, all, one } = await open(t);
    await harness.last.open(hello(), ...REPLAY, ready("1"));
    await harness.setVisibility("hidden");
    await harness.setVisibility("visible");
    await harness.last.open(hello("1"), changed("A", 4, "SHIPPED"), changed("B", 3, "PREPARING"));
    assert.deepEqual(all(".card .label"), ["Placed", "Paid", "Paid"]);
    await harness.last.send(ready("2"));
    assert.deepEqual(all(".card .label"), ["Placed", "Preparing", "Shipped"]);
    assert.equal(one(".arrives"), null);
    await harness.last.send(changed("B", 4, "SHIPPED"));
    assert.equal(one(".arrives").dataset.order, "B");
  });

  for (const [name, cutOff] of Object.entries({
    async "a reset"(harness) {
      await harness.last.send(reset("*"));
      await harness.last.cut();
    },
    async "the page was hidden"(harness) {
      await harness.setVisibility("hidden");
      await harness.setVisibility("visible");
      await harness.last.refuse();
    },
  })) {
    test(`a cut before the replay after ${name} is read out`, async (t) => {
      const { harness, said } = await open(t);
      await harness.last.open(hello(), ...REPLAY, ready("1"));
      await cutOff(harness);
      await harness.advance(1_500);
      await harness.last.open(hello("1"), ready("1"));
      assert.deepEqual(said(), ["Ada is cut off.", "Ada: Back after 2 s: no change came meanwhile."]);
    });
  }

  test("the switch cuts and restores, and says what the server did", async (t) => {
    const { one, posted, press } = await open(t, (path) => ({ cut: path.endsWith("/cut") }));
    const state = () => [one(".switch").getAttribute("aria-checked"), one(".switch-state").textContent];
    assert.deepEqual(state(), ["true", "on"]);
    await press(".switch");
    assert.deepEqual(state(), ["false", "cut"]);
    await press(".switch");
    assert.deepEqual(state(), ["true", "on"]);
    assert.deepEqual(posted, ["/connections/ada/cut", "/connections/ada/restore"]);
  });

  test("if the shop does not answer, the switch stays as it is", async (t) => {
    const { one, press } = await open(t, () => undefined);
    await press(".switch");
    assert.equal(one(".switch").getAttribute("aria-checked"), "true");
  });

  test("a cut and the way back are shown, and read out once each", async (t) => {
    const { ada, harness, all, one, said } = await open(t);
    await harness.last.open(hello(), changed("A", 1, "PLACED"), ready("1"));
    await harness.advance(3_000);
    await harness.last.cut();
    assert.equal(ada.panel.dataset.state, "cut");
    assert.equal(one(".pill-text").textContent, "Cut off");
    for (const delay of [1_500, 3_000]) {
      await harness.advance(delay);
      await harness.last.refuse();
    }
    await harness.advance(6_000);
    await harness.last.open(hello("1"), changed("A", 2, "PAID"), changed("A", 3, "PREPARING"), ready("3"));
    assert.equal(ada.panel.dataset.state, "back");
    assert.deepEqual(all(".card .label"), ["Preparing"]);
    assert.deepEqual(all(".proof dd"), ["3", "0", "0"]);
    assert.deepEqual(said(), ["Ada is cut off.", "Ada: Back after 11 s: 2 changes caught up, no change missed."]);
    assert.deepEqual(all(".journal li span"), ["Back after 10.5 s, 2 changes caught up", "A: Preparing", "A: Paid", "Cut off"]);
  });

  test("what the visitor does while cut off is said, and is not read out again later", async (t) => {
    const { harness, press, said } = await open(t, (path) => (path.endsWith("/cut") ? { cut: true } : { orderId: "A", status: "PAID" }));
    await harness.last.open(hello(), changed("A", 1, "PLACED"), ready("1"));
    await press(".switch");
    await harness.last.cut();
    await press("[data-order=A] .advance");
    await harness.advance(1_500);
    await harness.last.open(hello("1"), changed("A", 2, "PAID"), ready("2"));
    await harness.last.send(changed("A", 3, "PREPARING"));
    assert.deepEqual(said(), [
      "Ada is cut off.",
      "Moved on. Ada will see it when the connection is back.",
      "Ada: Back after 2 s: 1 change caught up, no change missed.",
    ]);
  });

  for (const [name, answer] of [["is finished already", { finished: true }], ["could not be moved on", undefined]]) {
    test(`of an order that ${name}, nothing is said, and its next change is not read out`, async (t) => {
      const { harness, press, said } = await open(t, (path) => (path.endsWith("/cut") ? { cut: true } : answer));
      await harness.last.open(hello(), changed("A", 1, "PLACED"), ready("1"));
      await press(".switch");
      await press("[data-order=A] .advance");
      await harness.last.send(changed("A", 2, "PAID"));
      assert.deepEqual(said(), []);
    });
  }

  test("a press that fails does not take back another one", async (t) => {
    const answers = {};
    const { harness, press, said } = await open(t, (path) => new Promise((resolve) => (answers[path.split("/")[2]] = resolve)));
    await harness.last.open(hello(), changed("A", 1, "PLACED"), changed("B", 1, "PLACED"), ready("1"));
    await press("[data-order=A] .advance");
    await press("[data-order=B] .advance");
    answers.A({ finished: true });
    answers.B({ orderId: "B", status: "PAID" });
    await harness.advance(0);
    await harness.last.send(changed("B", 2, "PAID"));
    assert.deepEqual(said(), ["Ada: order B is paid."]);
  });

  test("a cut that ends while the page is hidden is not announced with the numbers of an earlier one", async (t) => {
    const { harness, said } = await open(t);
    await harness.last.open(hello(), changed("A", 1, "PLACED"), ready("1"));
    await harness.last.cut();
    await harness.advance(1_500);
    await harness.last.open(hello("1"), ready("1"));
    await harness.last.cut();
    await harness.setVisibility("hidden");
    await harness.setVisibility("visible");
    await harness.last.open(hello("1"), ready("1"));
    assert.deepEqual(said(), ["Ada is cut off.", "Ada: Back after 2 s: no change came meanwhile.", "Ada is cut off."]);
  });

  test("the picture has a piece for each response, rest and change, and a text", async (t) => {
    const { ada, harness, one } = await open(t);
    await harness.last.open(hello(), changed("A", 1, "PLACED"), ready("1"));
    await harness.advance(6_000);
    await harness.last.send(changed("A", 2, "PAID"), rest(5_000, "2"));
    await harness.advance(3_000);
    ada.render(Date.now());
    const pieces = [...one(".segments").children].map(({ dataset, style }) => [dataset.is, style.left, style.width]);
    assert.deepEqual(pieces, [["open", "85%", "10%"], ["rest", "95%", "5%"], ["change", "95%", ""]]);
    assert.equal(one(".lane").getAttribute("aria-label"), "The last minute: 1 response, open for 6.0 s in all, 1 change.");
  });
}
