/**
 * Keeps the current token, and decides when to request a new one from the page.
 *
 * This machine's clock may be wrong by any amount, so it never decides alone: a token that looks
 * expired is still sent, and the server says when a token has expired.
 *
 * @typedef {string | undefined} Token
 * @typedef {(request: {rejected: Token}) => Token | Promise<Token>} Ask
 */

/** If less than this is left of a token, it is replaced before the next stream is opened. */
const MARGIN = 30_000;

/** If the server says that a new token has expired within this time, it expired at once. */
const SHORTEST_LIFE = 5_000;

export class Tokens {
  #ask;
  /** @type {Token} */
  #token;
  /** False if the page must be asked before the next stream is opened. */
  #isGood = false;
  /** When the token should be replaced, by this machine's clock. */
  #dueAt = Infinity;
  /** By this machine's clock, the token was old when the page returned it. */
  #looksOld = false;
  /** The request that the page has not answered yet. @type {Promise<void> | undefined} */
  #pending;
  /** The token that the server no longer accepts. @type {Token} */
  #rejected;
  /** 401s in a row. */
  #refusals = 0;
  /** When the server first accepted this token. @type {number | undefined} */
  #firstUse;
  /** Whether the running response is the first one for this token. */
  #isFirstUse = false;
  /** Tokens in a row that expired at once. */
  #shortLived = 0;

  /** @param {Ask} [ask] */
  constructor(ask) {
    this.#ask = ask;
  }

  /** The token for the next stream. Calls at the same time share one request to the page. */
  async current() {
    if (this.#ask && !(this.#isGood && Date.now() <= this.#dueAt)) {
      await (this.#pending ??= this.#request());
    }
    return this.#token;
  }

  /** The page took too long: the next call of `current` makes a new request. */
  abandon() {
    this.#pending = undefined;
  }

  /** The server accepted the token. */
  accepted() {
    this.#refusals = 0;
    this.#isFirstUse = this.#firstUse === undefined;
    this.#firstUse ??= Date.now();
  }

  /**
   * The server said that the token has expired.
   *
   * @returns {number} how many tokens in a row have expired at once
   */
  expired() {
    const isShort = this.#isFirstUse && Date.now() - this.#firstUse < SHORTEST_LIFE;
    this.#shortLived = isShort ? this.#shortLived + 1 : 0;
    this.#reject();
    return this.#shortLived;
  }

  /**
   * The server refused the token.
   *
   * @returns {boolean} whether a new token may help. It does not after the second 401 in a row
   */
  refused() {
    this.#reject();
    this.#refusals += 1;
    return this.#ask !== undefined && this.#refusals < 2;
  }

  /** Something other than a 401 happened: the next 401 is the first in a row. */
  resetRefusals() {
    this.#refusals = 0;
  }

  #reject() {
    this.#rejected = this.#token;
    this.#isGood = false;
  }

  async #request() {
    // The caller must set `#pending` first, because the page's function may throw or close the stream.
    await undefined;
    const pending = this.#pending;
    const ask = this.#ask;
    try {
      // Not `this.#ask()`: the page's function must not get this object as its `this`.
      const token = await ask({ rejected: this.#rejected });
      // The answer to an abandoned request is used only if there is no good token.
      if (this.#pending === pending || !this.#isGood) this.#store(token);
    } finally {
      if (this.#pending === pending) this.#pending = undefined;
    }
  }

  /** @param {Token} token */
  #store(token) {
    this.#token = token;
    this.#isGood = true;
    this.#rejected = undefined;
    this.#firstUse = undefined;
    this.#dueAt = this.#replacementTime(token);
  }

  /** @param {Token} token */
  #replacementTime(token) {
    const now = Date.now();
    const life = lifetime(token);
    const left = life ?? expiry(token) - now;
    const wasOld = this.#looksOld;
    this.#looksOld = life === undefined && left <= MARGIN;
    if (!this.#looksOld) return now + left - Math.min(MARGIN, left / 2);
    // The token may come from a cache, so the page is asked once more. If the next one looks old too,
    // the clock is wrong, and each check-in would ask again. So only `expired` and 401 count then.
    return wasOld ? Infinity : -Infinity;
  }
}

/**
 * The `exp` of a JWT in milliseconds since 1970, or infinity for any other token. The signature is
 * not verified, because the server does that.
 *
 * @param {Token} token
 */
export function expiry(token) {
  const { exp } = claims(token);
  return Number.isFinite(exp) ? exp * 1_000 : Infinity;
}

/**
 * How long a JWT is valid by its issuer's clock alone: from `iat` to `exp`, in milliseconds.
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
