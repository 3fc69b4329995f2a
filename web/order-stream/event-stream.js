/**
 * Reads events from the bytes of an event stream, chunk by chunk.
 *
 * The grammar (WHATWG HTML, 9.2.5 and 9.2.6,
 * https://html.spec.whatwg.org/multipage/server-sent-events.html):
 *
 *     stream        = [ bom ] *event
 *     event         = *( comment / field ) end-of-line
 *     comment       = colon *any-char end-of-line
 *     field         = 1*name-char [ colon [ space ] *any-char ] end-of-line
 *     end-of-line   = ( cr lf / cr / lf )
 *
 * An event without an empty line after it is incomplete: its data and its id are ignored.
 *
 * @typedef {{event: string, data: string, id: string}} Frame
 */

export class EventStream {
  /** The last id that was followed by an empty line. */
  lastEventId;
  /**
   * The reconnection time in milliseconds, if the stream has set one.
   *
   * @type {number | undefined}
   */
  retry;
  /** It also removes a byte order mark at the beginning. */
  #decoder = new TextDecoder();
  /** The beginning of an incomplete line. */
  #line = "";
  /** The last character was CR. If the next one is LF, both are one line end. */
  #afterCr = false;
  #event = "";
  /** @type {string[]} */
  #data = [];
  #id;

  /** @param {string} lastEventId the last event id of the previous response */
  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    this.#id = lastEventId;
  }

  /**
   * Yields the events that these bytes complete. After each one, `lastEventId` and `retry` have the
   * values that were current at that event.
   *
   * @param {Uint8Array} bytes
   * @returns {Generator<Frame, void>}
   */
  *push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return;
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    this.#afterCr = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") this.#field(line);
      else yield* this.#dispatch();
    }
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  /** @returns {Generator<Frame, void>} */
  *#dispatch() {
    const [event, data] = [this.#event || "message", this.#data];
    this.lastEventId = this.#id;
    this.#event = "";
    this.#data = [];
    if (data.length > 0) yield { event, data: data.join("\n"), id: this.lastEventId };
  }
}
