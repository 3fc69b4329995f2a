/** The panel of one customer: their connection, and their orders. */

import { arrange, clock, element, iconOf, replay, setText, showIcon, span } from "../dom.js";
import { watchCustomer } from "../order-stream.js";
import { announce, expected, icon, label, tone } from "../view.js";
import { History } from "./history.js";
import { draw } from "./lane.js";
import { Orders } from "./orders.js";
import { cameBack, line, name, sentence, stateOf, summary } from "./words.js";

const PILL_ICONS = { connecting: "connecting", open: "live", rest: "rest", cut: "cut", back: "ended", hidden: "rest", ended: "ended", denied: "denied" };

export class Customer {
  id;
  name;
  /** @type {HTMLElement} */
  panel;
  history = new History(Date.now());
  #orders = new Orders();
  #shop;
  #stream;
  #isCut = false;
  /** The order that the visitor placed or moved on last. Only its next change is read out, because the shop changes others all the time. */
  #awaited;
  /** Whether all changes are shown that came: they are not during a replay. Undefined before the first `ready`. @type {boolean | undefined} */
  #caughtUp;
  /** Whether a cut was announced, and no `ready` has come since. */
  #isCutAnnounced = false;

  /**
   * @param {string} id
   * @param {{post(path: string): Promise<any>, token(customer: string): Promise<string>}} shop
   */
  constructor(id, shop) {
    this.id = id;
    this.name = id[0].toUpperCase() + id.slice(1);
    this.#shop = shop;
    this.panel = document.getElementById("customer").content.firstElementChild.cloneNode(true);
    this.panel.dataset.customer = id;
    this.#label();
    this.#listen();
    this.render(Date.now());
  }

  /** Whether this page watches: an ended or denied stream costs nothing. */
  get isWatching() {
    return !["ended", "denied"].includes(this.history.present.is);
  }

  /** @param {string} streamUrl */
  watch(streamUrl) {
    this.#stream = watchCustomer(streamUrl, { token: () => this.#shop.token(this.id) });
    this.#stream.on("frame", (frame) => this.#frame(frame));
    this.#stream.on("change", (change) => this.#change(change));
    this.#stream.on("reset", ({ orders }) => this.#reset(orders));
    this.#stream.on("gone", ({ orderId }) => this.#gone(orderId));
    this.#stream.on("state", (state) => this.#state(state));
  }

  /** Shows whether the server cuts the connection, which another window may have asked for. @param {boolean} isCut */
  showSwitch(isCut) {
    this.#isCut = isCut;
    this.#part(".switch").setAttribute("aria-checked", String(!isCut));
    setText(this.#part(".switch-state"), isCut ? "cut" : "on");
  }

  /** Shows what changes with time. @param {number} now */
  render(now) {
    const state = stateOf(this.history, now);
    this.panel.dataset.state = state;
    showIcon(this.#part(".pill svg"), PILL_ICONS[state]);
    this.#part(".pill").dataset.is = state;
    setText(this.#part(".pill-text"), name(state));
    setText(this.#part(".now"), sentence(this.history, now));
    for (const counter of ["shown", "missing", "twice"]) setText(this.#part(`.${counter}`), String(this.history[counter]));
    this.#part(".proof").classList.toggle("broken", this.history.missing + this.history.twice > 0);
    this.history.trim(now);
    draw(this.#part(".segments"), this.history, now);
    this.#part(".lane").setAttribute("aria-label", summary(this.history, now));
    this.#showJournal();
    for (const age of this.panel.querySelectorAll(".age")) setText(age, ageOf(age.dataset.at, now));
  }

  #frame(frame) {
    const { back } = this.history;
    this.history.frame(frame, Date.now());
    if (frame.event === "ready") this.#ready(this.history.back !== back);
  }

  /** @param {boolean} isBack whether it ends a cut. A hidden page does not notice when a cut ends. */
  #ready(isBack) {
    if (this.#isCutAnnounced && isBack) announce(`${this.name}: ${cameBack(this.history.back)}`);
    this.#isCutAnnounced = false;
    this.#caughtUp = true;
    this.#showOrders();
    this.render(Date.now());
  }

  #change(change) {
    const isNew = !this.#orders.has(change.orderId);
    const isAwaited = this.#awaited === change.orderId;
    if (isAwaited) this.#awaited = undefined;
    this.#orders.change(change);
    if (!this.#caughtUp) return; // a replay is shown at once, at its `ready`
    this.#showOrders(change.orderId);
    if (isAwaited) announce(`${this.name}: order ${change.orderId} is ${isNew ? "there, " : ""}${label(change.status).toLowerCase()}.`);
  }

  #gone(orderId) {
    this.#orders.forget([orderId]);
    if (this.#caughtUp) this.#showOrders();
  }

  #reset(orders) {
    this.#orders.forget(orders);
    this.#expectReplay();
  }

  /** What comes before the next `ready` is shown then, at once. */
  #expectReplay() {
    if (this.#caughtUp) this.#caughtUp = false;
  }

  #state(state) {
    const before = this.history.present.is;
    this.history.state(state, Date.now());
    const { is } = this.history.present;
    if (is === "cut" && before !== "cut" && this.#caughtUp !== undefined && !this.#isCutAnnounced) {
      this.#isCutAnnounced = true;
      announce(`${this.name} is cut off.`);
    }
    if (is === "cut" || state.state === "connecting") this.#expectReplay();
    this.render(Date.now());
  }

  #showOrders(changed) {
    const list = this.#part(".cards");
    const old = new Map([...list.children].map((card) => [card.dataset.order, card]));
    // A card with the focus stays, or the focus would be lost.
    this.#orders.trim(document.activeElement?.closest(".card")?.dataset.order);
    const { open, finished, others } = this.#orders;
    const shown = [...open, ...finished];
    const cards = shown.map((order) => this.#card(old.get(order.id), order, order.id === changed));
    arrange(list, cards);
    this.#part(".none").hidden = shown.length > 0;
    this.#part(".more").hidden = others === 0;
    setText(this.#part(".more"), `and ${others} finished before`);
  }

  #card(old, order, isNews) {
    const card = old ?? this.#newCard(order.id);
    const isOther = card.dataset.status !== order.status;
    card.dataset.status = order.status;
    card.dataset.tone = tone(order.status);
    card.dataset.is = order.open ? "open" : "finished";
    showIcon(card.querySelector("svg"), icon(order.status));
    setText(card.querySelector(".label"), label(order.status));
    const age = card.querySelector(".age");
    age.dataset.at = order.at;
    age.title = clock(order.at);
    setText(age, ageOf(order.at, Date.now()));
    const steps = card.querySelector(".steps");
    const done = steps.children.length - expected(order.status).length;
    steps.hidden = !order.open || !card.dataset.tone;
    [...steps.children].forEach((step, nth) => step.classList.toggle("done", nth < done));
    // Not removed while it has the focus, which would be lost.
    const button = card.querySelector("button");
    button.hidden = !order.open && document.activeElement !== button;
    button.setAttribute("aria-disabled", String(!order.open));
    if (isNews && isOther) replay(card, "arrives");
    return card;
  }

  #newCard(id) {
    const card = element("li", { className: "card" });
    card.dataset.order = id;
    const node = element("span", { className: "node" });
    node.append(iconOf("other"));
    const link = element("a", { href: `order.html?order=${encodeURIComponent(id)}`, textContent: id });
    link.prepend(element("span", { className: "visually-hidden", textContent: "Order " }));
    const meta = element("p", { className: "meta" });
    meta.append(link, element("span", { className: "age" }));
    const text = element("div", { className: "text" });
    text.append(element("p", { className: "label" }), meta);
    const steps = element("span", { className: "steps" });
    steps.setAttribute("aria-hidden", "true");
    steps.append(...expected(undefined).map(() => element("span")));
    const button = element("button", { type: "button", className: "advance", textContent: "Move on" });
    button.setAttribute("aria-label", `Move on order ${id}`);
    button.addEventListener("click", () => this.#press(button, () => this.#advance(id)));
    card.append(node, text, button, steps);
    return card;
  }

  async #advance(id) {
    this.#awaited = id;
    const advanced = await this.#shop.post(`/orders/${encodeURIComponent(id)}/advance`);
    if (advanced && !advanced.finished) this.#announceIfCut("Moved on");
    else if (this.#awaited === id) this.#awaited = undefined;
  }

  async #place() {
    const placed = await this.#shop.post(`/customers/${this.id}/orders`);
    this.#awaited = placed?.orderId;
    if (placed) this.#announceIfCut("Placed");
  }

  #announceIfCut(done) {
    if (this.#isCut) announce(`${done}. ${this.name} will see it when the connection is back.`);
  }

  async #toggle() {
    const answer = await this.#shop.post(`/connections/${this.id}/${this.#isCut ? "restore" : "cut"}`);
    if (answer) this.showSwitch(answer.cut);
  }

  /** Runs an action. While it runs, its button does nothing. */
  async #press(button, action) {
    if (button.hasAttribute("aria-busy") || button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await action();
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  #label() {
    const heading = this.#part("h2");
    heading.id = `customer-${this.id}`;
    this.panel.setAttribute("aria-labelledby", heading.id);
    setText(heading, this.name);
    setText(this.#part(".face"), this.name[0]);
    setText(this.#part(".whose"), `${this.name}’s `);
    this.#part(".place").setAttribute("aria-label", `Place an order for ${this.name}`);
    this.showSwitch(false);
  }

  #listen() {
    this.#part(".switch").addEventListener("click", ({ currentTarget }) => this.#press(currentTarget, () => this.#toggle()));
    this.#part(".place").addEventListener("click", ({ currentTarget }) => this.#press(currentTarget, () => this.#place()));
  }

  #showJournal() {
    const list = this.#part(".journal ol");
    const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
    const items = this.history.entries.map((entry) => {
      const item = old.get(String(entry.id)) ?? element("li");
      item.dataset.key = entry.id;
      item.dataset.is = entry.kind;
      const text = line(entry);
      if (item.lastChild?.textContent !== text) {
        item.replaceChildren(element("time", { textContent: new Date(entry.at).toLocaleTimeString() }), element("span", { textContent: text }));
      }
      return item;
    });
    arrange(list, items);
  }

  #part(selector) {
    return this.panel.querySelector(selector);
  }
}

function ageOf(at, now) {
  const age = now - Date.parse(at);
  return age < 1_500 ? "just now" : `${span(age, "short")} ago`;
}
