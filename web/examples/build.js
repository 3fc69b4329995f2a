// Builds the examples into `built/`: `node build.js`. With Vite you would use its plugins for Vue and Svelte instead.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { compile } from "svelte/compiler";
import { compileScript, parse } from "vue/compiler-sfc";

const folder = fileURLToPath(new URL(".", import.meta.url));

const vue = {
  name: "vue",
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor } = parse(await readFile(path, "utf8"), { filename: path });
      return { contents: compileScript(descriptor, { id: basename(path), inlineTemplate: true }).content };
    });
  },
};

const svelte = (generate) => ({
  name: "svelte",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      return { contents: compile(await readFile(path, "utf8"), { filename: path, generate }).js.code };
    });
  },
});

/**
 * One script of an entry and all that it imports.
 *
 * @param {import("esbuild").BuildOptions} entry `entryPoints` or `stdin`
 * @param {"client" | "server"} target
 */
export async function bundle(entry, target = "client") {
  const isClient = target === "client";
  const { outputFiles } = await build({
    plugins: [vue, svelte(target)],
    ...entry,
    conditions: isClient ? ["browser", "module"] : ["node", "module"],
    platform: isClient ? "browser" : "node",
    // The renderers for servers load Node.js modules with `require`.
    banner: isClient ? {} : { js: "import { createRequire } from 'node:module'; const require = createRequire('file:///');" },
    define: {
      "process.env.NODE_ENV": '"development"',
      __VUE_OPTIONS_API__: "false",
      __VUE_PROD_DEVTOOLS__: "false",
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "true",
    },
    jsx: "automatic",
    format: "esm",
    bundle: true,
    write: Boolean(entry.outdir),
  });
  return outputFiles?.[0].text;
}

export const ENTRIES = { react: "react/main.jsx", vue: "vue/main.js", svelte: "svelte/main.js" };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, entry] of Object.entries(ENTRIES)) {
    await bundle({ entryPoints: [{ in: folder + entry, out: name }], outdir: `${folder}built` });
    console.log(`http://localhost:8080/examples/${name}/`);
  }
  console.log("http://localhost:8080/examples/plain/");
}
