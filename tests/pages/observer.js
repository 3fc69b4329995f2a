// Reports what a page shows in `#root`, each time it changes, and what goes wrong.
let queue = Promise.resolve();
window.report = (what) => {
  queue = queue.then(() => fetch("/report", { method: "POST", body: JSON.stringify(what) }));
};
const root = document.getElementById("root");
const show = () => {
  const { className } = root.querySelector("section") ?? root;
  window.report({ type: "shown", state: className, text: root.textContent.trim() });
};
new MutationObserver(show).observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
window.addEventListener("error", ({ message }) => window.report({ type: "error", error: message }));
for (const level of ["error", "warn"]) console[level] = (...what) => window.report({ type: "error", error: what.map(String).join(" ") });
