// Prints as JSON what `tests/frameworks.rs` serves:
//   node page.js example FRAMEWORK                      {script}        the example's script
//   node page.js hydrated FRAMEWORK STREAM SNAPSHOT     {html, script}  what a server renders, and the script that continues

import { fileURLToPath } from "node:url";

import { ENTRIES, bundle } from "../../examples/build.js";
import { load, resolveDir, server } from "./bundles.js";

const [what, framework, url, snapshot] = process.argv.slice(2);

async function example() {
  const entry = fileURLToPath(new URL(`../../examples/${ENTRIES[framework]}`, import.meta.url));
  return { script: await bundle({ entryPoints: [entry] }) };
}

async function hydrated() {
  const { render } = await load(await server(framework));
  const props = { url, ids: ["A"], snapshot: JSON.parse(snapshot) };
  const contents = `
    import { mount } from "./${framework}";
    const error = (error) => window.report({ type: "error", error: String(error) });
    mount(document.getElementById("root"), ${JSON.stringify(props)}, { hydrate: true, error });`;
  return { html: await render(props), script: await bundle({ stdin: { contents, resolveDir } }) };
}

console.log(JSON.stringify(await { example, hydrated }[what]()));
