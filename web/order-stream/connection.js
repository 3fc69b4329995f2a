/**
 * One stream, opened again and again until it is over. It knows of responses, frames and time, and
 * nothing of orders.
 *
 *     connecting ──ready──▶ live ──rest, expired──▶ live
 *          │                 │  late, cut off, or a long rest
 *          └────────────────▶ stale ──ready──▶ live          from any: ended, denied
 *
 * @typedef {import("./event-stream.js").Frame} Frame
 * @typedef {"connecting" | "live" | "stale" | "denied" | "ended"} State
 */

import { EventStream } from "./event-stream.js";
import { followPage } from "./page.js";
import { Tokens } from "./tokens.js";

/**
 * No stream is opened sooner after the one before, unless the page was just shown; in milliseconds,
 * as all here.
 */
const SHORTEST_DELAY = 1_000;

/** After failures in a row the delay doubles up to this, and up to as much is added at random. */
const LONGEST_DELAY = 16_000;

/** The longest that `setTimeout` can wait: beyond, it does not wait at all. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** A check-in that takes longer is no longer as fresh as promised. */
const LATE = 5_000;

/**
 * A rest that is longer leaves the page older than the server promises by default: `MAX_REST` is 60
 * s, and up to a tenth is added at random.
 */
const LONG_REST = 66_000;

/** Of the statuses from 400 to 499, those that pass by waiting. */
const PASSING = [408, 425, 429];

export class Connection {
  /** The id of the last frame that came whole. */
  cursor;
  #url;
  #credentials;
  #tokens;
  #silence;
  #on;
  /** @type {State} */
  #state = "connecting";
  /**
   * What is under way or waited for; none while the page is hidden.
   *
   * @type {AbortController | undefined}
   */
  #attempt;
  #timer;
  #watchdog;
  #late;
  /** The reconnection time that this response has set. */
  #retry = 0;
  #failures = 0;
  #unfollow;

  /**
   * @param {{
   *   url: string,
   *   cursor: string,
   *   token?: import("./tokens.js").Ask,
   *   credentials?: RequestCredentials,
   *   heartbeat: number,
   *   frame(frame: Frame): void,
   *   state(state: State, detail: {reason?: string, retryAt?: number}): void,
   * }} of `frame` may throw, where it cannot read one: the response is then given up at the frame
   * before
   */
  constructor({ url, cursor, token, credentials, heartbeat, frame, state }) {
    this.#url = url;
    this.#credentials = credentials;
    this.cursor = cursor;
    this.#tokens = new Tokens(token);
    this.#silence = Math.min(2 * heartbeat, LONGEST_TIMEOUT);
    this.#on = { frame, state };
  }

  /** Opens the stream as soon as the page is shown. */
  start() {
    this.#unfollow = followPage({
      shown: () => this.#attempt ?? this.#open(0),
      hidden: () => this.#hide(),
      // What was open before is likely dead, and would take its time to show it.
      online: () => this.#attempt && this.#open(0),
    });
  }

  close() {
    this.#drop();
    this.#unfollow?.();
  }

  /** @param {number} delay */
  #open(delay) {
    this.#drop();
    const { signal } = (this.#attempt = new AbortController());
    this.#timer = setTimeout(() => this.#run(signal), delay);
  }

  /**
   * Waits as the server asked. The response is left to end by itself: a connection that is cut
   * cannot be used again.
   */
  #rest() {
    const delay = Math.min(Math.max(SHORTEST_DELAY, this.#retry), LONGEST_TIMEOUT);
    this.#clear();
    this.#timer = setTimeout(() => this.#open(0), delay);
    return delay;
  }

  #drop() {
    this.#clear();
    this.#attempt?.abort();
    this.#attempt = undefined;
  }

  #clear() {
    for (const timer of [this.#timer, this.#watchdog, this.#late]) clearTimeout(timer);
  }

  #hide() {
    this.#drop();
    this.#failures = 0;
    this.#tokens.forgive();
    this.#become("connecting");
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    this.#listen();
    this.#retry = 0;
    if (this.#state === "live") this.#late = setTimeout(() => this.#become("stale", { reason: "late" }), LATE);
    try {
      const token = await this.#tokens.current();
      if (signal.aborted) return;
      const response = await fetch(this.#url, { ...this.#options(token), signal });
      if (signal.aborted) return;
      await this.#answered(response, signal);
    } catch (error) {
      if (!signal.aborted) this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  /** In headers, so that the URL stays the same: browsers remember a preflight for each URL. */
  #options(token) {
    const headers = { accept: "text/event-stream" };
    if (this.cursor) headers["last-event-id"] = this.cursor;
    if (token) headers.authorization = `Bearer ${token}`;
    return { headers, cache: "no-store", ...(this.#credentials && { credentials: this.#credentials }) };
  }

  /**
   * @param {Response} response
   * @param {AbortSignal} signal
   */
  async #answered(response, signal) {
    const { status } = response;
    const type = response.headers.get("content-type") ?? "";
    // A firewall, a proxy or a captive portal may answer in the server's place. Its 403 and 404 say
    // nothing of the orders. Its 401 may be for the token, so that is exchanged, but not at once.
    const isServers = isType(type, "application/problem+json");
    if (status === 401 && this.#tokens.refused() && isServers) return this.#open(0);
    if (status === 204 && isFinished(this.cursor)) return this.#finish("ended");
    if (isServers && status >= 400 && status < 500 && !PASSING.includes(status)) {
      const reason = await problem(response);
      if (!signal.aborted) this.#finish("denied", { reason });
      return;
    }
    if (status !== 200 || !response.body) throw new Error(`${status} ${response.statusText}`.trim());
    if (!isType(type, "text/event-stream")) throw new Error(`an answer of type ${type || "unknown"}`);
    this.#tokens.accepted();
    await this.#read(response.body, signal);
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {AbortSignal} signal
   */
  async #read(body, signal) {
    const stream = new EventStream(this.cursor);
    const reader = body.getReader();
    let caughtUp = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) throw new Error("cut off");
      this.#listen();
      for (const frame of stream.push(value)) {
        this.#retry = stream.retry ?? 0;
        this.#take(frame);
        if (signal.aborted) return;
        caughtUp ||= frame.event === "ready";
        const isLast = this.#next(frame, caughtUp);
        // Closed by a listener: the cursor stays at what was handed over.
        if (signal.aborted) return;
        if (isLast) return drain(reader);
      }
    }
  }

  /** @param {Frame} frame */
  #take(frame) {
    const before = this.cursor;
    this.cursor = frame.id;
    try {
      this.#on.frame(frame);
    } catch (error) {
      this.cursor = before;
      throw error;
    }
  }

  /**
   * What a frame means for the connection. If a response says goodbye before it has caught up, the
   * server is in trouble.
   *
   * @param {Frame} frame
   * @returns {boolean} whether it was the last one
   */
  #next({ event, data }, caughtUp) {
    if (event === "expired") this.#expired(caughtUp);
    if (event !== "hello") this.#failures = 0;
    if (event === "ready") {
      clearTimeout(this.#late);
      this.#become("live");
    }
    if (event === "end") this.#finish("ended");
    if (event === "rest" || event === "expired") {
      const delay = this.#rest();
      const unavailable = event === "rest" && isUnavailable(data);
      if (unavailable || !caughtUp || delay > LONG_REST) {
        this.#become("stale", { reason: unavailable ? "unavailable" : event, retryAt: Date.now() + delay });
      }
    }
    return ["end", "rest", "expired"].includes(event);
  }

  /** Throws if one token after another expires at once: each would open a stream within a second. */
  #expired(caughtUp) {
    const times = this.#tokens.expired();
    if (caughtUp && times < 2) return;
    this.#failures = Math.max(this.#failures, times - 2);
    throw new Error("a token that expires at once");
  }

  /** Something was heard: from now on, two missed heartbeats are a dead connection. */
  #listen() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#failed("silence"), this.#silence);
  }

  /** @param {string} reason */
  #failed(reason) {
    const longest = Math.min(LONGEST_DELAY, SHORTEST_DELAY * 2 ** this.#failures);
    const delay = Math.max(longest * (1 + Math.random()), Math.min(this.#retry, LONGEST_TIMEOUT));
    this.#failures += 1;
    this.#tokens.abandon();
    this.#tokens.forgive();
    this.#open(delay);
    this.#become("stale", { reason, retryAt: Date.now() + delay });
  }

  /** @param {"ended" | "denied"} state */
  #finish(state, detail) {
    this.close();
    this.#become(state, detail);
  }

  /** @param {State} state */
  #become(state, detail = {}) {
    if (state === this.#state && !detail.reason) return;
    this.#state = state;
    this.#on.state(state, detail);
  }
}

/** Nothing that comes after a goodbye counts, and no failure does. */
async function drain(reader) {
  try {
    while (!(await reader.read()).done);
  } catch {
    // The goodbye was said.
  }
}

/** @param {string} type @param {string} wanted */
function isType(type, wanted) {
  return type.split(";")[0].trim().toLowerCase() === wanted;
}

/** Whether the server has told the end of each order: only then does it answer 204. */
function isFinished(cursor) {
  return cursor.split(".").every((mark) => mark.endsWith("~"));
}

/** Whether a rest is the server's bad weather: it cannot read its feed, say. */
function isUnavailable(data) {
  try {
    return JSON.parse(data)?.unavailable === true;
  } catch {
    return false;
  }
}

/** What an answer says of itself (RFC 9457), in one line. */
async function problem(response) {
  const { title, detail } = (await response.json().catch(() => null)) ?? {};
  return [response.status, title ?? response.statusText, detail].filter(Boolean).join(" ");
}
