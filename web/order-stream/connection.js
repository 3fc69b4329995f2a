/**
 * One stream, which is opened again until it ends. This file handles responses, frames and time. It
 * does not know orders.
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

/** The shortest delay before a stream is opened again, unless the page was just shown. In milliseconds, as all times here. */
const SHORTEST_DELAY = 1_000;

/** The delay doubles with each failure in a row, up to this. A random part, at most as long, is added. */
const LONGEST_DELAY = 16_000;

/** The longest delay of `setTimeout`. It does not wait at all if the delay is longer. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** If a check-in takes longer, the page is older than promised. */
const LATE = 5_000;

/**
 * After a longer rest the page is older than the server promises by default: `MAX_REST` is 60 s, and
 * up to a tenth is added at random.
 */
const LONG_REST = 66_000;

/** Statuses from 400 to 499 after which a retry may succeed. */
const RETRYABLE = [408, 425, 429];

export class Connection {
  /** The id of the last complete frame. */
  cursor;
  #url;
  #credentials;
  #tokens;
  #fetch;
  #visibility;
  #silence;
  #on;
  /** @type {State} */
  #state;
  /**
   * The attempt that is running or scheduled. `undefined` while the page is hidden.
   *
   * @type {AbortController | undefined}
   */
  #attempt;
  #timer;
  #watchdog;
  #late;
  /** The last `retry` of this response. */
  #retry = 0;
  #failures = 0;
  /** The last rest, at most `LONGEST_DELAY`. */
  #lastRest = 0;
  /**
   * The response was 429. If clients that are refused came back sooner than those that are served, a
   * full server would get more requests than before.
   */
  #throttled = false;
  #unfollow;

  /**
   * @param {{
   *   url: string,
   *   cursor: string,
   *   tokens: import("./tokens.js").Tokens,
   *   credentials?: RequestCredentials,
   *   heartbeat: number,
   *   fetch: typeof fetch,
   *   visibility?: import("./page.js").Visibility,
   *   from?: State,
   *   frame(frame: Frame): void,
   *   state(state: State, detail: {reason?: string, retryAt?: number}): void,
   * }} settings `frame` throws if it cannot read a frame. The response is then abandoned, and the
   *   next one resumes before that frame. `from` is the state in which it begins: `connecting`, unless
   *   it continues what another connection began.
   */
  constructor({ url, cursor, tokens, credentials, heartbeat, fetch, visibility, from = "connecting", frame, state }) {
    this.#url = url;
    this.#credentials = credentials;
    this.cursor = cursor;
    this.#tokens = tokens;
    this.#fetch = fetch;
    this.#visibility = visibility;
    this.#state = from;
    this.#silence = Math.min(2 * heartbeat, LONGEST_TIMEOUT);
    this.#on = { frame, state };
  }

  /** Opens the stream as soon as the page is shown. */
  start() {
    const on = {
      shown: () => this.#attempt ?? this.#open(0),
      hidden: () => this.#hide(),
      // The old connection is probably dead, and it would take two heartbeats to notice.
      online: () => this.#attempt && this.#open(0),
    };
    this.#unfollow = followPage(on, this.#visibility);
  }

  close() {
    this.#abort();
    this.#unfollow?.();
  }

  /** @param {number} delay */
  #open(delay) {
    this.#abort();
    const { signal } = (this.#attempt = new AbortController());
    this.#timer = setTimeout(() => this.#run(signal), delay);
  }

  /**
   * Waits as long as the server asked. The response is not aborted, because an aborted connection
   * cannot be reused.
   */
  #rest() {
    const delay = Math.min(Math.max(SHORTEST_DELAY, this.#retry), LONGEST_TIMEOUT);
    this.#lastRest = Math.min(delay, LONGEST_DELAY);
    this.#clearTimers();
    this.#timer = setTimeout(() => this.#open(0), delay);
    return delay;
  }

  #abort() {
    this.#clearTimers();
    this.#attempt?.abort();
    this.#attempt = undefined;
  }

  #clearTimers() {
    for (const timer of [this.#timer, this.#watchdog, this.#late]) clearTimeout(timer);
  }

  #hide() {
    this.#abort();
    this.#failures = 0;
    this.#tokens.resetRefusals();
    this.#setState("connecting");
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    this.#restartWatchdog();
    this.#retry = 0;
    if (this.#state === "live") this.#late = setTimeout(() => this.#setState("stale", { reason: "late" }), LATE);
    try {
      const token = await this.#tokens.current();
      if (signal.aborted) return;
      const response = await this.#fetch(this.#url, { ...this.#options(token), signal });
      if (signal.aborted) return;
      await this.#handleResponse(response, signal);
    } catch (error) {
      if (!signal.aborted) this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  /** Cursor and token are in headers, so that the URL stays the same: browsers cache preflights by URL. */
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
  async #handleResponse(response, signal) {
    const { status } = response;
    const type = response.headers.get("content-type") ?? "";
    // A firewall, a proxy or a captive portal may answer instead of the server. Its 403 and 404 say
    // nothing about the orders. Its 401 may be about the token, so the token is replaced, after the
    // usual delay.
    const isServers = isType(type, "application/problem+json");
    if (status === 401 && this.#tokens.refused() && isServers) return this.#open(0);
    if (status === 204 && isFinished(this.cursor)) return this.#finish("ended");
    if (isServers && status >= 400 && status < 500 && !RETRYABLE.includes(status)) {
      const reason = await problem(response);
      if (!signal.aborted) this.#finish("denied", { reason });
      return;
    }
    this.#throttled = status === 429;
    if (status === 200 && !response.body) throw new Error("this fetch returns no stream: pass another as the option `fetch`");
    if (status !== 200) throw new Error(`${status} ${response.statusText}`.trim());
    if (!isType(type, "text/event-stream")) throw new Error(`unexpected content type ${type || "(none)"}`);
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
      this.#restartWatchdog();
      for (const frame of stream.push(value)) {
        this.#retry = stream.retry ?? 0;
        this.#deliver(frame);
        if (signal.aborted) return;
        caughtUp ||= frame.event === "ready";
        const isLast = this.#follow(frame, caughtUp);
        // If a listener closed the stream, the cursor stays at the last delivered frame.
        if (signal.aborted) return;
        if (isLast) return drain(reader);
      }
    }
  }

  /** @param {Frame} frame */
  #deliver(frame) {
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
   * Does what a frame demands of the connection. If a response ends before `ready`, the server has a
   * problem, and the state becomes `stale`.
   *
   * @param {Frame} frame
   * @returns {boolean} whether it is the response's last frame
   */
  #follow({ event, data }, caughtUp) {
    if (event === "expired") this.#expired(caughtUp);
    if (event !== "hello") this.#failures = 0;
    if (event === "ready") {
      clearTimeout(this.#late);
      this.#setState("live");
    }
    if (event === "end") this.#finish("ended");
    if (event === "rest" || event === "expired") {
      const delay = this.#rest();
      const unavailable = event === "rest" && isUnavailable(data);
      if (unavailable || !caughtUp || delay > LONG_REST) {
        this.#setState("stale", { reason: unavailable ? "unavailable" : event, retryAt: Date.now() + delay });
      }
    }
    return ["end", "rest", "expired"].includes(event);
  }

  /** Throws if several tokens in a row expire at once. Without a longer delay, each would open a stream after a second. */
  #expired(caughtUp) {
    const times = this.#tokens.expired();
    if (caughtUp && times < 2) return;
    this.#failures = Math.max(this.#failures, times - 2);
    throw new Error("the token expired at once");
  }

  /** After two missed heartbeats from now on, the connection counts as dead. */
  #restartWatchdog() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#failed("silence"), this.#silence);
  }

  /** @param {string} reason */
  #failed(reason) {
    const longest = Math.min(LONGEST_DELAY, SHORTEST_DELAY * 2 ** this.#failures);
    const rest = this.#throttled ? this.#lastRest * (0.9 + Math.random() / 5) : this.#retry;
    const delay = Math.max(longest * (1 + Math.random()), Math.min(rest, LONGEST_TIMEOUT));
    this.#throttled = false;
    this.#failures += 1;
    this.#tokens.abandon();
    this.#tokens.resetRefusals();
    this.#open(delay);
    this.#setState("stale", { reason, retryAt: Date.now() + delay });
  }

  /** @param {"ended" | "denied"} state */
  #finish(state, detail) {
    this.close();
    this.#setState(state, detail);
  }

  /** @param {State} state */
  #setState(state, detail = {}) {
    if (state === this.#state && !detail.reason) return;
    this.#state = state;
    this.#on.state(state, detail);
  }
}

/** Reads the rest of a response, and ignores its content and its failures. */
async function drain(reader) {
  try {
    while (!(await reader.read()).done);
  } catch {
    // The last frame has arrived, so a failure changes nothing.
  }
}

/** @param {string} type @param {string} wanted */
function isType(type, wanted) {
  return type.split(";")[0].trim().toLowerCase() === wanted;
}

/** Whether the server has sent the end of each order. It answers 204 only then. */
function isFinished(cursor) {
  return cursor.split(".").every((mark) => mark.endsWith("~"));
}

/** Whether a `rest` says that the server cannot serve the stream at the moment. */
function isUnavailable(data) {
  try {
    return JSON.parse(data)?.unavailable === true;
  } catch {
    return false;
  }
}

/** The problem details of a response (RFC 9457), in one line. */
async function problem(response) {
  const { title, detail } = (await response.json().catch(() => null)) ?? {};
  return [response.status, title ?? response.statusText, detail].filter(Boolean).join(" ");
}
