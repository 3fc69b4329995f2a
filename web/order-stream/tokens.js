/**
 * The token in hand, and when the page is asked for another.
 *
 * This machine's clock may be wrong by any amount, so it never decides alone: a token that looks old
 * is sent all the same, and the server says when a token has expired.
 *
 * @typedef {string | undefined} Token
 * @typedef {(request: {rejected: Token}) => Token | Promise<Token>} Ask
 */

/** A token that has less than this left is exchanged before a stream is opened with it. */
const MARGIN = 30_000;

/** A token that the page has just given should last longer than this on the server. */
const SHORTEST_LIFE = 5_000;

export class Tokens {
  #ask;
  /** @type {Token} */
  #token;
  /** False if the page must be asked before the next stream is opened. */
  #isGood = false;
  /** When this machine's clock says that the token should be exchanged. */
  #dueAt = Infinity;
  /** By this machine's clock, the token was old as soon as the page gave it. */
  #looksOld = false;
  /** The question that the page has not answered yet. @type {Promise<void> | undefined} */
  #asking;
  /** The token that the server no longer takes. @type {Token} */
  #rejected;
  /** 401s in a row. */
  #refusals = 0;
  /** When the server first took this token. @type {number | undefined} */
  #firstUse;
  /** Whether the running response is the first one for this token. */
  #isFirstUse = false;
  /** Tokens in a row that expired at once. */
  #shortLived = 0;

  /** @param {Ask} [ask] */
  constructor(ask) {
    this.#ask = ask;
  }

  /** The token to open a stream with. Calls at the same time wait for the same answer. */
  async current() {
    if (this.#ask && !(this.#isGood && Date.now() <= this.#dueAt)) {
      await (this.#asking ??= this.#exchange());
    }
    return this.#token;
  }

  /** The page took too long: the next call of `current` asks again. */
  abandon() {
    this.#asking = undefined;
  }

  /** The server took it. */
  accepted() {
    this.#refusals = 0;
    this.#isFirstUse = this.#firstUse === undefined;
    this.#firstUse ??= Date.now();
  }

  /**
   * The server said that the token has expired.
   *
   * @returns {number} how many tokens in a row have expired as soon as they were used
   */
  expired() {
    const isShort = this.#isFirstUse && Date.now() - this.#firstUse < SHORTEST_LIFE;
    this.#shortLived = isShort ? this.#shortLived + 1 : 0;
    this.#reject();
    return this.#shortLived;
  }

  /**
   * The server refused it.
   *
   * @returns {boolean} whether another one may help: no, if this is the second 401 in a row
   */
  refused() {
    this.#reject();
    this.#refusals += 1;
    return this.#ask !== undefined && this.#refusals < 2;
  }

  /** Something other than a 401 came in between: the next one is the first in a row. */
  forgive() {
    this.#refusals = 0;
  }

  #reject() {
    this.#rejected = this.#token;
    this.#isGood = false;
  }

  async #exchange() {
    // Not before `#asking` is set: the page's function may throw, or close the stream.
    await undefined;
    const asking = this.#asking;
    try {
      const token = await this.#ask({ rejected: this.#rejected });
      // The answer to an abandoned question counts only if there is nothing better.
      if (this.#asking === asking || !this.#isGood) this.#take(token);
    } finally {
      if (this.#asking === asking) this.#asking = undefined;
    }
  }

  /** @param {Token} token */
  #take(token) {
    this.#token = token;
    this.#isGood = true;
    this.#rejected = undefined;
    this.#firstUse = undefined;
    this.#dueAt = this.#due(token);
  }

  /** @param {Token} token */
  #due(token) {
    const now = Date.now();
    const life = lifetime(token);
    const left = life ?? expiry(token) - now;
    const wasOld = this.#looksOld;
    this.#looksOld = life === undefined && left <= MARGIN;
    if (!this.#looksOld) return now + left - Math.min(MARGIN, left / 2);
    // It may come from a cache, so the page is asked once more. If the next one looks old too, the
    // clock is wrong, and each check-in would ask again: the server's word has to do.
    return wasOld ? Infinity : -Infinity;
  }
}

/**
 * The `exp` of a JWT, in milliseconds since 1970; infinite for anything else. Nothing is verified:
 * the server does that.
 *
 * @param {Token} token
 */
export function expiry(token) {
  const { exp } = claims(token);
  return Number.isFinite(exp) ? exp * 1_000 : Infinity;
}

/**
 * How long a JWT is good for, by the clock of its issuer alone: `iat` to `exp`, in milliseconds.
 *
 * @param {Token} token
 * @returns {number | undefined}
 */
function lifetime(token) {
  const { iat, exp } = claims(token);
  return Number.isFinite(iat) && Number.isFinite(exp) && iat < exp ? (exp - iat) * 1_000 : undefined;
}

function claims(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)) ?? {};
  } catch {
    return {};
  }
}
