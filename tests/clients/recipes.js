// The code blocks of docs/, for tests: what a reader copies is what runs.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);

/** The code blocks under a heading, up to the next heading of any level. */
export async function recipes(file, heading) {
  const blocks = [];
  let section;
  let block;
  for (const line of (await readFile(new URL(file, root), "utf8")).split("\n")) {
    const [, fence] = /^```(\w*)$/.exec(line) ?? [];
    if (fence === undefined && block) block.code += `${line}\n`;
    else if (fence === undefined) section = /^#+ (.*)$/.exec(line)?.[1] ?? section;
    else if (block) block = undefined;
    else {
      block = { language: fence, code: "" };
      if (section === heading) blocks.push(block);
    }
  }
  if (blocks.length === 0) throw new Error(`${file} has no code under ${heading}`);
  return blocks;
}

/** Puts code where a recipe leaves room for the reader's own. */
export function filled(code, own) {
  const room = /^( *)\/\/ … .*$/m;
  if (!room.test(code)) throw new Error("the recipe has no room for one's own code");
  return code.replace(room, (_, indent) => indent + own);
}

/** React, its renderer and both recipes as one script; `main` may use all of them. */
export async function reactPage(main, platform) {
  const blocks = await recipes("docs/page.md", "React");
  const hook = blocks.find(({ code }) => code.includes("function useOrders"));
  const component = blocks.find(({ language }) => language === "jsx");
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    stdin: {
      contents: `${hook.code}\n${component.code}\n${main}`,
      loader: "jsx",
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    alias: { "order-status-stream": fileURLToPath(new URL("web/order-stream.js", root)) },
    banner: platform === "node" ? { js: REQUIRE } : {},
    jsx: "automatic",
    bundle: true,
    platform,
    format: "esm",
    define: { "process.env.NODE_ENV": '"development"' },
    write: false,
  });
  return outputFiles[0].text;
}

/** The renderer for servers asks for modules of Node.js as CommonJS does. */
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire('file:///');";
