/** The stream of a customer: all their orders on one connection. The only file of the demo that knows how they are watched. */

import { watchCustomer } from "../order-stream.js";

/**
 * @param {string} streamUrl
 * @param {() => Promise<string>} token
 */
export function watchOrdersOf(streamUrl, token) {
  return watchCustomer(streamUrl, { token });
}
