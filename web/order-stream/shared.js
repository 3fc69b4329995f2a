/**
 * One stream for the tabs of an origin that watch the same orders, or all orders of the same customer.
 *
 * Each tab that is shown asks for the same Web Lock. The tab that has it leads: it keeps a stream
 * open, and posts each frame to the other tabs. A tab opens a stream of its own when it joins, and when
 * it has missed a post. It closes that stream once it is where the leader is. So each tab can continue
 * at its own cursor at any time, and a lost post is only one more request.
 *
 * If the leader's stream fails, one tab after the other tries a stream of its own. If it works, that tab
 * leads. If it fails too, the tab closes it and waits, so that an outage has few more requests than
 * those of one tab.
 *
 *     joining ──caught up, and a leader is live──▶ following
 *        ▲                                            │
 *        └──not where the leader is, or it is silent──┘        from both: leading, if the lock is free
 *
 * @typedef {import("./connection.js").State} State
 * @typedef {import("./event-stream.js").Frame} Frame
 * @typedef {{reason?: string, retryAt?: number}} Detail
 * @typedef {Record<string, number | string>} Marks the newest change of each order that a tab has. Of a
 *   customer, the mark in the customer's log, because a tab may still show orders that this log has forgotten
 * @typedef {{marks: Marks, caughtUp: boolean}} Progress `caughtUp`: the last replay is complete
 * @typedef {{
 *   term: number,
 *   number: number,
 *   before: Progress,
 *   after: Progress,
 *   state: State,
 *   rests: boolean,
 *   detail?: Detail,
 *   frame?: Frame,
 * }} Post `number` is 1, 2, 3 … for each term. `before` and `after` are the leader's, before and after
 *   the frame. `rests`: the leader waits because the server asked it to, and not because of a failure
 */

import { Connection } from "./connection.js";
import { followPage } from "./page.js";

/** The longest time between two posts of a leader, in milliseconds. */
const BEAT = 2_000;

/**
 * A leader that is silent for so long is frozen. If it posts, but gets no answer from the server,
 * another tab may. A random part, at most as long, is added, so that one tab is the first.
 */
const PATIENCE = 6_000;

/** The time doubles with each tab that has tried in vain, up to this. */
const LONGEST_PATIENCE = 24_000;

/** Browsers have both interfaces since 2022, but Web Locks only in secure contexts. */
export function canShare() {
  return Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel);
}

/** The same interface as that of `Connection`. */
export class SharedConnection {
  /** The id of the last frame that this tab has taken. */
  cursor;
  #settings;
  #name;
  /** @type {State} */
  #state = "connecting";
  /** The tab's own stream. @type {Connection | undefined} */
  #connection;
  /** Whether the last replay is complete. Until then the page is shown nothing new. */
  #caughtUp = false;
  /** Open while the page is shown. @type {BroadcastChannel | undefined} */
  #channel;
  /** The request for the lock. @type {AbortController | undefined} */
  #request;
  /** Gives the lock back. Only the leader has it. @type {(() => void) | undefined} */
  #release;
  /** What the leader posted last. @type {Post | undefined} */
  #leader;
  /** Each leader has a higher number than the one before it. */
  #term = 0;
  /** The number of this leader's last post. */
  #number = 0;
  /** The server asked the own stream to wait. */
  #rests = false;
  /** The leader has posted since `#patience` was restarted, but its stream fails. */
  #leaderFails = false;
  /** How many tabs have tried a stream of their own since the leader's failed. */
  #tries = 0;
  #beat;
  #patience;
  #unfollow;

  /**
   * @param {object} settings those of `Connection`; `marks`, which returns this tab's {@link Marks}; and
   *   `share`, which is the same in all tabs that share
   */
  constructor(settings) {
    this.#settings = settings;
    this.cursor = settings.cursor;
    // The number changes with the form of the messages: two versions of this file may be open at once.
    this.#name = `order-status-stream 3 ${JSON.stringify([settings.url, settings.share])}`;
  }

  start() {
    const on = { shown: () => this.#channel ?? this.#join(), hidden: () => this.#hide(), online: () => {} };
    this.#unfollow = followPage(on, this.#settings.visibility);
  }

  close() {
    this.#leave();
    this.#unfollow?.();
  }

  #join() {
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#channel.postMessage("joined");
    this.#tries = 0;
    this.#restartPatience();
    this.#requestLock();
    this.#open();
  }

  #leave() {
    this.#request?.abort();
    this.#stopLeading();
    this.#drop();
    this.#channel?.close();
    this.#channel = this.#leader = undefined;
    clearTimeout(this.#patience);
  }

  #hide() {
    this.#leave();
    this.#settings.tokens.resetRefusals();
    this.#setState("connecting");
  }

  /** @param {boolean} steal takes the lock from a tab that is frozen */
  #requestLock(steal = false) {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    let led = false;
    const lead = () => {
      if (request.signal.aborted) return undefined;
      led = true;
      return this.#lead();
    };
    // The interface does not allow both options at once.
    const options = steal ? { steal } : { signal: request.signal };
    const lost = () => {
      if (!led || request.signal.aborted) return;
      // Another tab took the lock, because this one was frozen.
      this.#stopLeading();
      this.#restartPatience();
      this.#requestLock();
    };
    // If the browser refuses the lock, each tab keeps its own stream.
    navigator.locks.request(this.#name, options, lead).then(lost, lost);
  }

  /** @returns {Promise<void>} the lock is held until it resolves */
  #lead() {
    this.#leader = undefined;
    this.#tries = 0;
    clearTimeout(this.#patience);
    // A tab that was hidden remembers an earlier leader, of which this tab may never have heard.
    this.#term = Math.max(this.#term + 1, Date.now());
    this.#number = 0;
    const released = new Promise((release) => (this.#release = release));
    this.#post();
    this.#open();
    return released;
  }

  /** @param {number} [delay] */
  #stopLeading(delay = 0) {
    clearTimeout(this.#beat);
    const release = this.#release;
    this.#release = undefined;
    if (delay > 0) setTimeout(() => release?.(), delay);
    else release?.();
  }

  #open() {
    if (this.#connection || !this.#channel) return;
    // Equal numbers are not enough before the server has answered: they may be those of a history before a `reset`.
    this.#caughtUp = false;
    this.#connection = new Connection({
      ...this.#settings,
      cursor: this.cursor,
      from: this.#state,
      frame: (frame) => this.#handleFrame(frame),
      state: (state, detail) => this.#handleState(state, detail),
    });
    this.#connection.start();
  }

  #drop() {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** A frame of the own stream. @param {Frame} frame */
  #handleFrame(frame) {
    const before = this.#progress();
    this.#deliver(frame);
    if (this.#release) this.#post({ before, frame });
    // Not before the frame has changed the state of the stream.
    else queueMicrotask(() => this.#dropIfSpare());
  }

  /** Throws if the frame was not accepted. The cursor is then as before. @param {Frame} frame */
  #deliver(frame) {
    const { cursor } = this;
    this.cursor = frame.id;
    try {
      this.#settings.frame(frame);
    } catch (error) {
      this.cursor = cursor;
      throw error;
    }
    if (frame.event === "hello" || frame.event === "reset") this.#caughtUp = false;
    if (frame.event === "ready") this.#caughtUp = true;
  }

  /** A state of the own stream. @param {State} state @param {Detail} detail */
  #handleState(state, detail) {
    this.#rests = detail?.reason === "rest" || detail?.reason === "unavailable";
    // The others ask with their own tokens whether they are denied.
    if (this.#release && state !== "denied") this.#post({ state, detail });
    if (state === "denied" || state === "ended") return this.#finish(state, detail);
    const mayLead = !this.#release && this.#leaderFails;
    const works = state === "live" || this.#rests;
    if (mayLead && state === "stale" && !works) return this.#giveUp(detail);
    this.#setState(state, detail);
    // A listener may have closed the stream.
    if (mayLead && works && this.#channel) this.#requestLock(true);
  }

  /**
   * The leader's stream fails, and the own one too, so the server is probably down. Without `retryAt`,
   * because this tab does not know which one is the next to try.
   *
   * @param {Detail} detail
   */
  #giveUp({ reason }) {
    this.#wait();
    if (this.#state !== "stale") this.#setState("stale", { reason });
  }

  /** A tab has tried in vain: this one or another. */
  #wait() {
    this.#drop();
    this.#tries += 1;
    this.#restartPatience();
  }

  /** @param {Partial<Post>} [more] */
  #post(more) {
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => this.#post(), BEAT);
    this.#number += 1;
    const [term, number, state, rests, after] = [this.#term, this.#number, this.#state, this.#rests, this.#progress()];
    this.#channel?.postMessage({ term, number, before: after, after, state, rests, ...more });
  }

  /** @returns {Progress} */
  #progress() {
    return { marks: this.#settings.marks(), caughtUp: this.#caughtUp };
  }

  /** @param {"joined" | "trying" | Post} message */
  #hear(message) {
    if (message === "joined") {
      if (this.#release) this.#post();
    } else if (message === "trying") {
      if (!this.#release && !this.#connection) this.#wait();
    } else this.#hearLeader(message);
  }

  /** @param {Post} message */
  #hearLeader(message) {
    // The sender may have been frozen, and may not know yet that another tab took the lock.
    if (this.#release || !this.#channel || message.term < this.#term) return;
    const last = message.term === this.#leader?.term ? this.#leader.number : 0;
    this.#term = message.term;
    this.#leader = message;
    const works = message.state === "live" || message.rests;
    if (works) this.#tries = 0;
    if (works) this.#restartPatience();
    else this.#leaderFails = message.state === "stale";
    if (this.#connection) this.#dropIfSpare();
    else if (message.number === last + 1 && !this.#differs(message.before)) this.#take(message);
    else if (this.#tries === 0) this.#open();
  }

  /** @param {Post} post */
  #take({ frame, state, detail }) {
    try {
      if (frame) this.#deliver(frame);
    } catch {
      this.#open();
      return;
    }
    if (!this.#channel) return;
    if (state === "ended" || frame?.event === "end") this.#finish("ended");
    else if (state !== "connecting") this.#setState(state, detail);
  }

  /** Closes the own stream if the leader's is enough. */
  #dropIfSpare() {
    const follows = !this.#release && this.#caughtUp && this.#state === "live" && this.#leader?.state === "live";
    if (follows && !this.#differs(this.#leader.after)) this.#drop();
  }

  /**
   * Whether this tab is not where a leader is. After a `reset` that only one of them has, the leader's
   * numbers may be lower. Before `ready`, a tab has changes that it does not show.
   *
   * @param {Progress} progress
   */
  #differs({ marks, caughtUp }) {
    const own = this.#progress();
    return (caughtUp && !own.caughtUp) || Object.entries(marks).some(([id, mark]) => mark !== own.marks[id]);
  }

  #restartPatience() {
    clearTimeout(this.#patience);
    this.#leaderFails = false;
    const patience = Math.min(PATIENCE * 2 ** this.#tries, LONGEST_PATIENCE);
    this.#patience = setTimeout(() => this.#losePatience(), patience * (1 + Math.random()));
  }

  #losePatience() {
    if (this.#leaderFails) this.#channel.postMessage("trying");
    else {
      this.#leader = undefined;
      this.#requestLock(true);
    }
    this.#open();
  }

  /** @param {"ended" | "denied"} state @param {Detail} [detail] */
  #finish(state, detail) {
    // Otherwise the next tab might lead, and ask the server, before it hears of the end.
    if (state === "ended") this.#stopLeading(BEAT);
    this.close();
    this.#setState(state, detail);
  }

  /** @param {State} state @param {Detail} [detail] */
  #setState(state, detail = {}) {
    if (state === this.#state && !detail.reason) return;
    this.#state = state;
    this.#settings.state(state, detail);
  }
}
