// The picture of the demo page in README.md: two customers of `make run`, one of whom is back after a cut.
// Usage: node dev/tools/screenshot.mjs FILE.png

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const page = `http://localhost:${process.env.PAGE_PORT ?? 8080}/`;
const size = { width: 1280, height: 940, deviceScaleFactor: 1, mobile: false };

const answers = await fetch(page).then(({ ok }) => ok, () => false);
if (!answers) {
  console.error(`nothing answers at ${page}: start \`make run\` in another terminal first`);
  process.exit(1);
}

const profile = mkdtempSync(join(tmpdir(), "screenshot-"));
const options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"];
const quiet = ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
const chromium = spawn("chromium", [...options, ...quiet, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

/** The DevTools protocol: each message ends with a NUL. */
const waiting = new Map();
let received = "";
chromium.stdio[4].on("data", (data) => {
  const messages = (received + data).split("\0");
  received = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) waiting.get(message.id)?.(message);
});
const send = (method, params = {}, sessionId) =>
  new Promise((resolve, reject) => {
    const id = waiting.size + 1;
    waiting.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result)));
    chromium.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  });

const { targetId } = await send("Target.createTarget", { url: "about:blank" });
const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
const tab = (method, params) => send(method, params, sessionId);
await tab("Emulation.setDeviceMetricsOverride", size);
await tab("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "light" }] });
await tab("Page.navigate", { url: page });

const run = async (expression) => (await tab("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })).result.value;
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1_000 * count));
const state = async (wanted) => {
  while ((await run(`document.querySelector('[data-customer="ben"]')?.dataset.state`)) !== wanted) await seconds(0.2);
};
const connection = (change) => fetch(`${page}connections/ben/${change}`, { method: "POST" });

// Somebody may have cut it before. The bill is about a minute.
await connection("restore");
await seconds(60);
await connection("cut");
await state("cut");
await run(`document.querySelectorAll('[data-customer="ben"] .advance').forEach((button) => button.click())`);
await seconds(6);
await connection("restore");
await state("back");
await seconds(1.5);
const { data } = await tab("Page.captureScreenshot");
writeFileSync(process.argv[2], Buffer.from(data, "base64"));
chromium.kill();
chromium.on("exit", () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
