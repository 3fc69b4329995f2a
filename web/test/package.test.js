// What people install: the package as npm packs it, in a project of its own, with the real frameworks and the type checker.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("..", import.meta.url));

const FILES = [
  "LICENSE-APACHE",
  "LICENSE-MIT",
  "README.md",
  "frameworks/react-native.d.ts",
  "frameworks/react-native.js",
  "frameworks/react.d.ts",
  "frameworks/react.js",
  "frameworks/store.d.ts",
  "frameworks/store.js",
  "frameworks/svelte.d.ts",
  "frameworks/svelte.js",
  "frameworks/vue.d.ts",
  "frameworks/vue.js",
  "order-stream.d.ts",
  "order-stream.js",
  "order-stream/connection.js",
  "order-stream/event-stream.js",
  "order-stream/page.js",
  "order-stream/shared.js",
  "order-stream/tokens.js",
  "package.json",
];

const NAMES = {
  ".": "watchCustomer,watchOrders",
  "./react": "useCustomerOrders,useOrderStatus",
  "./react-native": "appVisibility",
  "./svelte": "customerOrders,orderStatus",
  "./vue": "useCustomerOrders,useOrderStatus",
};

/** A consumer of each subpath. The lines after `@ts-expect-error` are wrong. */
const CONSUMER = `
import { watchCustomer, watchOrders, type Change, type Snapshot, type Visibility } from "order-status-stream";
import { useCustomerOrders, useOrderStatus } from "order-status-stream/react";
import { appVisibility } from "order-status-stream/react-native";
import { customerOrders, orderStatus } from "order-status-stream/svelte";
import { useCustomerOrders as useCustomerInVue, useOrderStatus as useInVue } from "order-status-stream/vue";
import { get, type Readable } from "svelte/store";
import { ref, type ComputedRef } from "vue";

declare const token: () => Promise<string>;
declare const appState: { currentState: string; addEventListener(type: "change" | "blur", listener: (state: string) => void): { remove(): void } };

const stream = watchOrders("https://s.example/", ["A", 7, 8n], { token, share: true, fetch, visibility: appVisibility(appState) });
const newest: Change | undefined = stream.get(7);
stream.on("state", ({ state, reason, retryAt }) => [state satisfies string, reason?.length, retryAt?.toFixed()]);
const snapshot: Snapshot = useOrderStatus("/stream", ["A"], { token, ...stream.getSnapshot() });
const reason: string | undefined = snapshot.error?.reason;
useOrderStatus(new URL("https://s.example/"), undefined);
const visibility: Visibility = appVisibility(appState);
const store: Readable<Snapshot> = orderStatus("/stream", "A", { visibility });
const statuses: string[] = get(store).orders.map(({ status }) => status);
const id = ref("A");
const { orders, state, error } = useInVue("/stream", () => [id.value], { token });
const first: ComputedRef<readonly Change[]> = orders;
const isLive: boolean = state.value === "live" && error.value === undefined;
export { newest, reason, statuses, first, isLive };

const mine = watchCustomer(new URL("https://s.example/"), { token, share: "customer 7", ...stream.getSnapshot() });
mine.on("gone", ({ orderId }) => orderId satisfies string);
const unshared = watchCustomer("/stream", { share: false });
watchOrders("/stream", ["A"], { share: "customer 7" });
const { orders: list }: Snapshot = useCustomerOrders("/stream", 7, { token, share: true });
const customer = ref<string | undefined>();
const inVue: ComputedRef<readonly Change[]> = useCustomerInVue("/stream", customer, { token }).orders;
const inSvelte: Readable<Snapshot> = customerOrders("/stream", null, { share: "customer 7" });
export { unshared, list, inVue, inSvelte };

// @ts-expect-error an id is a string, a number or a bigint
useOrderStatus("/stream", [{}]);
// @ts-expect-error a shared watch cannot be closed by one component's signal
useOrderStatus("/stream", ["A"], { signal: new AbortController().signal });
// @ts-expect-error all customers have the same URL
watchCustomer("/stream", { share: true });
// @ts-expect-error a customer's orders are not named
watchCustomer("/stream", ["A"]);
// @ts-expect-error without a customer, the orders of two of them could be mixed up
useCustomerOrders("/stream");
// @ts-expect-error no such state
stream.state === "resting";
// @ts-expect-error a ref has a value
state === "live";
`;

// `make test` installs them. CI must have them.
const isInstalled = existsSync(join(web, "node_modules/typescript"));
if (!isInstalled && !process.env.CI) console.error("NOT TESTED: the package, because npm has not installed its tools");
else {
  const run = (program, given, cwd) => execFileSync(program, given, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  /** What npm packs. Some versions print the scripts' names before it. */
  const pack = (...given) => {
    const output = run("npm", ["pack", "--json", ...given], web);
    return JSON.parse(output.slice(output.search(/^\[/m)))[0];
  };

  test("the package has what is needed, and nothing else", () => {
    const { files } = pack("--dry-run");
    assert.deepEqual(files.map(({ path }) => path).sort(), FILES);
  });

  test("the packed package can be imported and type-checked", async (t) => {
    const project = await mkdtemp(join(tmpdir(), "consumer-"));
    t.after(() => rm(project, { recursive: true }));
    const { filename } = pack("--pack-destination", project);
    await writeFile(join(project, "package.json"), '{"private": true, "type": "module"}');
    run("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", `./${filename}`], project);
    const installed = JSON.parse(await readFile(join(project, "node_modules/.package-lock.json"), "utf8"));
    assert.deepEqual(Object.keys(installed.packages), ["node_modules/order-status-stream"], "it brings no other package");
    for (const name of ["react", "svelte", "vue"]) await symlink(join(web, "node_modules", name), join(project, "node_modules", name));

    await t.test("each subpath can be imported in Node.js", async () => {
      const { exports } = JSON.parse(await readFile(join(project, "node_modules/order-status-stream/package.json"), "utf8"));
      assert.deepEqual(Object.keys(exports), [...Object.keys(NAMES), "./package.json"]);
      for (const [subpath, name] of Object.entries(NAMES)) {
        const script = `const names = Object.keys(await import(${JSON.stringify(`order-status-stream${subpath.slice(1)}`)})); console.log(names.join());`;
        assert.equal(run(process.execPath, ["--input-type=module", "--eval", script], project), `${name}\n`);
      }
    });

    for (const [module, moduleResolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
      await t.test(`a consumer is type-checked with moduleResolution ${moduleResolution}`, async () => {
        await writeFile(join(project, "consumer.ts"), CONSUMER);
        const options = { module, moduleResolution, strict: true, noEmit: true, target: "es2022", lib: ["es2022", "dom", "dom.iterable"], types: [] };
        await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["consumer.ts"] }));
        try {
          run(process.execPath, [join(web, "node_modules/typescript/bin/tsc"), "--project", project], project);
        } catch ({ stdout }) {
          assert.fail(stdout);
        }
      });
    }
  });
}
