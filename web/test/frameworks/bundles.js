/** Builds the scripts of this folder: each framework with the example's component. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { bundle } from "../../examples/build.js";

const path = (file) => fileURLToPath(new URL(file, import.meta.url));

export const resolveDir = path(".");

/** Svelte 4 with its own compiler. */
const svelte4 = (generate) => ({
  name: "svelte4",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path: filename }) => {
      const { compile } = await import("svelte4/compiler");
      return { contents: compile(await readFile(filename, "utf8"), { filename, generate, hydratable: true }).js.code };
    });
  },
});

const FILES = { react: "react.jsx", vue: "vue.js", svelte: "svelte.js", svelte4: "svelte4.js" };

export const FRAMEWORKS = Object.keys(FILES);

/** @param {string} framework one of `FRAMEWORKS` */
function options(framework, target) {
  if (framework !== "svelte4") return {};
  return { plugins: [svelte4(target === "client" ? "dom" : "ssr")], alias: { svelte: "svelte4" }, absWorkingDir: path("../../") };
}

/** A module with `mount`, for a page. */
export const client = (framework) =>
  bundle({ entryPoints: [path(FILES[framework])], ...options(framework, "client") }, "client");

/** A module with `render`, for a server. */
export const server = (framework) =>
  bundle({ entryPoints: [path(FILES[framework].replace(".", ".server."))], ...options(framework, "server") }, "server");

/** Imports a script. It is a file for a moment, because stack traces with data URLs cannot be read. */
export async function load(script) {
  const folder = await mkdtemp(join(tmpdir(), "bundle-"));
  await writeFile(join(folder, "bundle.mjs"), script);
  const module = await import(pathToFileURL(join(folder, "bundle.mjs")));
  await rm(folder, { recursive: true });
  return module;
}
