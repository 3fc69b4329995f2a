/**
 * The token in hand, and when the page is asked for another.
 *
 * @typedef {string | undefined} Token
 * @typedef {(request: {rejected: Token}) => Token | Promise<Token>} Ask
 */

/** A token that has less than this left is exchanged before a stream is opened with it. */
const MARGIN = 30_000;

export class Tokens {
  #ask;
  /** @type {string | undefined} */
  #token;
  #expiresAt = Infinity;
  /** What the server no longer takes. @type {string | undefined} */
  #rejected;
  /** 401s without anything else in between. */
  #refusals = 0;

  /** @param {Ask} [ask] */
  constructor(ask) {
    this.#ask = ask;
  }

  /**
   * The token to open a stream with. What the page gives is tried, whatever this machine's clock
   * makes of it.
   */
  async current() {
    if (this.#ask && (this.#token === undefined || this.#expiresAt - Date.now() < MARGIN)) {
      this.#token = await this.#ask({ rejected: this.#rejected });
      this.#expiresAt = expiry(this.#token);
      this.#rejected = undefined;
    }
    return this.#token;
  }

  /** The server took it. */
  accepted() {
    this.#refusals = 0;
  }

  /** Its time is up. */
  expired() {
    this.#rejected = this.#token;
    this.#token = undefined;
  }

  /**
   * The server refused it.
   *
   * @returns whether another one may help: not where this was the second try already
   */
  refused() {
    this.expired();
    this.#refusals += 1;
    return this.#ask !== undefined && this.#refusals < 2;
  }
}

/**
 * The `exp` of a JWT, in milliseconds since 1970; of anything else, never. Nothing is verified:
 * that is the server's.
 *
 * @param {string | undefined} token
 */
export function expiry(token) {
  try {
    const payload = (token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? exp * 1_000 : Infinity;
  } catch {
    return Infinity;
  }
}
