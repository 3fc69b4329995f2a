// Reads the code blocks of docs/, so that tests run exactly what a reader copies.

import { readFile } from "node:fs/promises";

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

/** Replaces a recipe's placeholder, a comment that begins with `…`, by code. */
export function filled(code, own) {
  const placeholder = /^( *)\/\/ … .*$/m;
  if (!placeholder.test(code)) throw new Error("the recipe has no placeholder for the reader's code");
  return code.replace(placeholder, (_, indent) => indent + own);
}
