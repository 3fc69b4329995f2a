/**
 * @typedef {import("../order-stream.d.ts").Visibility} Visibility
 */

/**
 * Calls back when the page is shown, when it is hidden, and when the network is back. Returns a
 * function that stops this. Without a page (in Node.js) and without `visibility`, it counts as shown.
 *
 * @param {{shown(): void, hidden(): void, online(): void}} on
 * @param {Visibility} [visibility] what to ask instead of the page, in an app
 * @returns {() => void}
 */
export function followPage(on, visibility) {
  const { document, window } = globalThis;
  const isHidden = () => (visibility ? visibility.hidden() : document?.visibilityState === "hidden");
  let isFollowing = true;
  // A `visibility` may still call a listener that it has removed, if it had begun to call all of them.
  const update = () => isFollowing && (isHidden() ? on.hidden() : on.shown());
  const listening = [
    [document, "visibilitychange", update],
    // A page enters the back/forward cache with `pagehide` and leaves it with `pageshow`. Some
    // browsers do not cache a page that has an open response.
    [window, "pagehide", on.hidden],
    [window, "pageshow", update],
    [window, "online", on.online],
  ];
  // React Native has a `window` that is no event target.
  for (const [target, type, listener] of listening) target?.addEventListener?.(type, listener);
  const unsubscribe = visibility?.subscribe(update);
  update();
  return () => {
    isFollowing = false;
    unsubscribe?.();
    for (const [target, type, listener] of listening) target?.removeEventListener?.(type, listener);
  };
}
