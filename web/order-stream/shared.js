/**
 * One stream for the tabs of an origin that watch the same orders.
 *
 * Each tab that is shown asks for the same Web Lock. The tab that has it leads: it keeps a stream
 * open, and posts each frame to the other tabs. A tab opens a stream of its own when it joins, and when
 * it has missed something. It closes that stream once it has what the leader has. So each tab can
 * continue at its own cursor at any time, and a lost message is only one more request.
 *
 *     joining ──caught up, and a leader is live──▶ following
 *        ▲                                            │
 *        └──behind the leader, or it is silent────────┘        from both: leading, if the lock is free
 *
 * @typedef {import("./connection.js").State} State
 * @typedef {import("./event-stream.js").Frame} Frame
 * @typedef {{reason?: string, retryAt?: number}} Detail
 * @typedef {Record<string, number>} Seqs the newest change of each order that a tab has
 * @typedef {{term: number, before: Seqs, after: Seqs, state: State, detail?: Detail, frame?: Frame}} Post
 *   what a leader has before and after the frame
 */

import { Connection } from "./connection.js";
import { followPage } from "./page.js";

/** The longest time between two posts of a leader, in milliseconds. */
const BEAT = 2_000;

/** A leader that is silent for so long is frozen. A random part, at most as long, is added, so that one tab is the first. */
const PATIENCE = 6_000;

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
  #beat;
  #patience;
  #unfollow;

  /** @param {object} settings those of `Connection`, and `seqs`, which returns this tab's {@link Seqs} */
  constructor(settings) {
    this.#settings = settings;
    this.cursor = settings.cursor;
    // The number changes with the form of the messages: two versions of this file may be open at once.
    this.#name = `order-status-stream 1 ${settings.url}`;
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
    // If there is no lock to be had, each tab keeps its own stream.
    navigator.locks.request(this.#name, options, lead).then(lost, lost);
  }

  /** @returns {Promise<void>} the lock is held until it resolves */
  #lead() {
    this.#leader = undefined;
    clearTimeout(this.#patience);
    this.#term += 1;
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
    const before = this.#settings.seqs();
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
    // The others ask with their own tokens whether they are denied.
    if (this.#release && state !== "denied") this.#post({ state, detail });
    if (state === "denied" || state === "ended") this.#finish(state, detail);
    else this.#setState(state, detail);
  }

  /** @param {Partial<Post>} [more] */
  #post(more) {
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => this.#post(), BEAT);
    const after = this.#settings.seqs();
    this.#channel?.postMessage({ term: this.#term, before: after, after, state: this.#state, ...more });
  }

  /** @param {"joined" | Post} message */
  #hear(message) {
    if (message === "joined") {
      if (this.#release) this.#post();
      return;
    }
    // The sender may have been frozen, and may not know yet that another tab took the lock.
    if (this.#release || !this.#channel || message.term < this.#term) return;
    this.#term = message.term;
    this.#leader = message;
    this.#restartPatience();
    if (this.#connection) this.#dropIfSpare();
    else if (this.#lacks(message.before)) this.#open();
    else this.#take(message);
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
    if (follows && !this.#lacks(this.#leader.after)) this.#drop();
  }

  /** @param {Seqs} seqs */
  #lacks(seqs) {
    const own = this.#settings.seqs();
    return Object.entries(seqs).some(([id, seq]) => seq > own[id]);
  }

  #restartPatience() {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.#leader = undefined;
      this.#requestLock(true);
      this.#open();
    }, PATIENCE * (1 + Math.random()));
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
