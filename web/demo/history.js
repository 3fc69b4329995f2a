/**
 * What a connection did, as its page sees it: held, resting, cut off, and back. It also checks that no change is missing, and no change
 * came twice. It reads frames and states of the client, and knows neither the page nor a clock: each call says what time it is.
 *
 * @typedef {import("../order-stream.js").Frame} Frame
 * @typedef {import("../order-stream.js").State} State
 * @typedef {"connecting" | "open" | "rest" | "cut" | "hidden" | "ended" | "denied"} Phase
 * @typedef {{is: Phase, from: number, to?: number, until?: number}} Segment `until`: when the client comes back. `to` is missing while it lasts
 * @typedef {{id: number, at: number, kind: "change" | "late" | "try"}} Mark `late`: a change that came while the page was cut off. `try`: a failed attempt
 * @typedef {{id: number, at: number, kind: string, ms?: number, changes?: number, missing?: number, orderId?: string, status?: string, times?: number}} Entry `times`: how many rests it stands for
 */

/** How long the past is kept, in milliseconds. */
export const KEPT = 60_000;

/** A response that was open for less was a check-in, which found nothing to wait for. */
export const CHECK_IN = 500;

/** How long the page says that the connection is back. */
const BACK_SHOWN = 8_000;

const ENTRIES = 5;

/** Reasons for `stale` after which the server itself asked for a rest. */
const RESTS = ["rest", "expired", "unavailable"];

export class History {
  /** @type {Segment[]} the last one is the present */
  segments;
  /** @type {Mark[]} */
  marks = [];
  /** @type {Entry[]} newest first */
  entries = [];
  shown = 0;
  missing = 0;
  twice = 0;
  /** The last time that the connection came back. */
  back;
  /** While the connection catches up after a cut: when the cut began, and the changes that came since. */
  #catchingUp;
  /** Whether everything in the feed was sent once. From then on, a change is news. */
  #knowsAll = false;
  /** The id of the last mark or entry. Several of them may have the same time. */
  #lastId = 0;
  /** The last `seq` of each order. An unknown one may begin anywhere: it may have been another customer's. @type {Map<string, number>} */
  #seqs = new Map();

  /** @param {number} now */
  constructor(now) {
    this.segments = [{ is: "connecting", from: now }];
  }

  get present() {
    return this.segments.at(-1);
  }

  /** @param {Frame} frame @param {number} now */
  frame({ event, data }, now) {
    if (event === "hello") this.#opened(now);
    if (event === "message") this.#changed(JSON.parse(data), now);
    if (event === "reset") this.#forget(JSON.parse(data).orders);
    if (event === "gone") this.#seqs.delete(JSON.parse(data).orderId);
    if (event === "ready") this.#ready(now);
    if (event === "rest") this.#rested(JSON.parse(data).retry, now);
    if (event === "expired") this.#rested(0, now);
  }

  /** @param {{state: State, reason?: string, retryAt?: number}} to @param {number} now */
  state({ state, reason, retryAt }, now) {
    if (state === "stale" && !RESTS.includes(reason)) this.#cut(retryAt, now);
    if (state === "connecting" && this.present.is !== "connecting") this.#begin({ is: "hidden", from: now });
    if (state === "ended" || state === "denied") this.#begin({ is: state, from: now });
  }

  /** Forgets what is older than a minute. @param {number} now */
  trim(now) {
    const oldest = now - KEPT;
    this.segments = this.segments.filter(({ to }) => to === undefined || to > oldest);
    this.marks = this.marks.filter(({ at }) => at > oldest);
  }

  /** Whether the connection came back a moment ago. @param {number} now */
  isBack(now) {
    return this.back !== undefined && now - this.back.at < BACK_SHOWN && ["open", "rest"].includes(this.present.is);
  }

  /** What the past minute was, in milliseconds and times. @param {number} now */
  summary(now) {
    const within = ({ from, to = now }) => Math.max(0, to - Math.max(from, now - KEPT));
    const of = (is) => this.segments.filter((segment) => segment.is === is);
    return {
      responses: of("open").length,
      held: of("open").reduce((sum, segment) => sum + within(segment), 0),
      cuts: of("cut").length,
      cut: of("cut").reduce((sum, segment) => sum + within(segment), 0),
      changes: this.marks.filter(({ kind }) => kind !== "try").length,
    };
  }

  #opened(now) {
    // If it was cut off again while it caught up, it has been away since the first cut.
    if (this.present.is === "cut") this.#catchingUp ??= { from: this.present.from, changes: 0, missing: this.missing };
    this.#begin({ is: "open", from: now });
  }

  #changed({ orderId, seq, status }, now) {
    const last = this.#seqs.get(orderId) ?? seq - 1;
    if (seq <= last) this.twice += 1;
    else this.missing += seq - last - 1;
    this.#seqs.set(orderId, Math.max(seq, last));
    this.shown += 1;
    if (this.#catchingUp) this.#catchingUp.changes += 1;
    // What a new visitor gets is the past, and no mark of the present.
    if (!this.#knowsAll) return;
    this.#mark(this.#catchingUp ? "late" : "change", now);
    this.#enter({ at: now, kind: "change", orderId, status });
  }

  /** @param {string[] | "*"} orders */
  #forget(orders) {
    for (const id of orders === "*" ? [...this.#seqs.keys()] : orders) this.#seqs.delete(id);
    this.#knowsAll = false;
  }

  #ready(now) {
    // It was only late: the same response goes on.
    if (this.present.is === "cut") this.#opened(now);
    this.#knowsAll = true;
    if (!this.#catchingUp) return;
    const { from, changes, missing } = this.#catchingUp;
    this.#catchingUp = undefined;
    this.back = { at: now, ms: now - from, changes, missing: this.missing - missing };
    this.#enter({ kind: "back", ...this.back });
  }

  #rested(retry, now) {
    const { is, from } = this.present;
    if (is === "open" && now - from >= CHECK_IN) this.#enter({ at: now, kind: "held", ms: now - from });
    const ms = Math.max(1_000, retry ?? 0);
    this.#begin({ is: "rest", from: now, until: now + ms });
    this.#enter({ at: now, kind: "rest", ms });
  }

  #cut(retryAt, now) {
    if (this.present.is === "cut") {
      this.#mark("try", now);
      this.present.until = retryAt;
      return;
    }
    this.#begin({ is: "cut", from: now, until: retryAt });
    if (!this.#catchingUp) this.#enter({ at: now, kind: "cut" });
  }

  /** @param {Segment} segment */
  #begin(segment) {
    this.present.to = segment.from;
    this.segments.push(segment);
  }

  #mark(kind, at) {
    this.marks.push({ id: (this.#lastId += 1), at, kind });
  }

  /** A rest after a rest is one entry, or the check-ins would displace everything else. @param {Omit<Entry, "id">} entry */
  #enter(entry) {
    const [newest] = this.entries;
    if (entry.kind === "rest" && newest?.kind === "rest") Object.assign(newest, { at: entry.at, ms: newest.ms + entry.ms, times: (newest.times ?? 1) + 1 });
    else this.entries.unshift({ id: (this.#lastId += 1), ...entry });
    this.entries.length = Math.min(this.entries.length, ENTRIES);
  }
}
