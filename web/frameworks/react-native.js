/** @type {typeof import("./react-native.d.ts").appVisibility} */
export function appVisibility(appState) {
  return {
    // Not while it is `inactive`: iOS says so during a call, and while it shows its control center.
    hidden: () => appState.currentState === "background",
    subscribe(listener) {
      const subscription = appState.addEventListener("change", listener);
      return () => subscription.remove();
    },
  };
}
