/**
 * An event stream's bytes, as they come, to events.
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
 * An event that is not followed by an empty line never was one: neither its data nor its id counts.
 *
 * @typedef {{event: string, data: string, id: string}} Frame
 */

export class EventStream {
  /** The last event id, as of the last empty line. */
  lastEventId;
  /**
   * The reconnection time, in milliseconds, where the stream has set one.
   *
   * @type {number | undefined}
   */
  retry;
  /** Of a stream, it takes the byte order mark away. */
  #decoder = new TextDecoder();
  /** The line so far. */
  #line = "";
  /** The last character was CR: an LF that comes next belongs to it. */
  #afterCr = false;
  #event = "";
  /** @type {string[]} */
  #data = [];
  #id;

  /** @param {string} lastEventId that of the response before */
  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    this.#id = lastEventId;
  }

  /**
   * The events which these bytes complete. One at a time: `lastEventId` and `retry` are as of the
   * event in hand.
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
