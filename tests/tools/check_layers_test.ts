import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkImports, readGraph } from "../../tools/check_layers.ts";
import { checkPackages, checkPowers } from "../../tools/powers.ts";

function imports(edges: Record<string, string[]>): string[] {
  return checkImports(new Map(Object.entries(edges))).map((f) => `${f.file} ${f.what}`);
}

function powers(path: string, text: string): string[] {
  return checkPowers([{ path, text }]).map((f) => `${f.line} ${f.what}`);
}

Deno.test("checkImports() accepts imports that point down through mod.ts", () => {
  const edges = {
    "train/loop.ts": ["strategies/mod.ts", "kernels/mod.ts", "train/config/mod.ts"],
    "train/step/loop.ts": ["train/config/mod.ts"],
    "collectives/algorithms/ring.ts": ["kernels/mod.ts"],
    "tests/models/gpt2/model_test.ts": ["models/gpt2/model.ts"],
    "cli.ts": ["train/mod.ts"],
  };
  assertEquals(imports(edges), []);
});

Deno.test("checkImports() finds imports that point up, sideways, or past mod.ts", () => {
  assertEquals(imports({ "kernels/a.ts": ["nn/mod.ts"] }), ["kernels/a.ts imports nn/mod.ts"]);
  assertEquals(imports({ "nn/a.ts": ["collectives/mod.ts"] }), ["nn/a.ts imports collectives/mod.ts"]);
  assertEquals(imports({ "actors/a.ts": ["strategies/mod.ts"] }).length, 1);
  assertEquals(imports({ "train/a.ts": ["models/gpt2/model.ts"] }).length, 1);
  assertEquals(imports({ "nn/a.ts": ["tools/source.ts"] }).length, 1);
  assertEquals(imports({ "kernels/wasm/a.ts": ["kernels/_private.ts"] }).length, 1);
});

Deno.test("checkImports() finds a peer that is imported, not run", () => {
  assertEquals(imports({ "bench/a.ts": ["bench/peers/b.ts"] }), ["bench/a.ts imports bench/peers/b.ts"]);
  assertEquals(imports({ "bench/peers/a.ts": ["bench/peers/b.ts", "bench/peer.ts"] }), []);
});

Deno.test("checkPackages() finds npm packages that deno.json does not name", () => {
  const found = (text: string) =>
    checkPackages([{ path: "bench/a.ts", text }]).map((f) => `${f.line} ${f.what}`);
  assertEquals(found('import { a } from "comlink";\nconst PEER = "npm:a@1";\nawait import(PEER);'), []);
  assertEquals(found('import { b } from "b";\nimport {\n  a,\n} from "npm:a@1";'), ["2 imports npm:a@1"]);
  assertEquals(found('import "npm:a@1";\nawait import("npm:b@1");'), [
    "1 imports npm:a@1",
    "2 imports npm:b@1",
  ]);
});

Deno.test("checkImports() finds cycles", () => {
  const [finding] = imports({ "nn/a.ts": ["nn/b.ts"], "nn/b.ts": ["nn/c.ts"], "nn/c.ts": ["nn/a.ts"] });
  assertEquals(finding, "nn/a.ts import cycle nn/a.ts -> nn/b.ts -> nn/c.ts -> nn/a.ts");
});

Deno.test("checkPowers() finds uses outside of the owner", () => {
  assertEquals(powers("nn/a.ts", "let a;\nAtomics.load(x, 0);"), ["2 uses Atomics"]);
  assertEquals(powers("collectives/control/words.ts", "Atomics.load(x, 0);"), []);
  assertEquals(powers("strategies/a.ts", "new SharedArrayBuffer(8)"), ["1 uses shared memory"]);
  assertEquals(powers("train/a.ts", "new Worker(url)"), ["1 uses new Worker"]);
  assertEquals(powers("nn/a.ts", "self.postMessage(1)"), ["1 uses messages"]);
  assertEquals(powers("nn/a.ts", "navigator.gpu"), ["1 uses navigator.gpu"]);
  assertEquals(powers("actors/a.ts", "Deno.exit(1)"), ["1 uses Deno.*"]);
  assertEquals(powers("train/a.ts", "performance.now()"), ["1 uses clocks"]);
  assertEquals(powers("tests/a.ts", "Math.random()"), ["1 uses Math.random"]);
  assertEquals(powers("train/a.ts", "console.log(1)"), ["1 uses console.*"]);
});

Deno.test("checkPowers() finds what is taken by destructuring or from the global object", () => {
  assertEquals(powers("nn/a.ts", "const { gpu } = navigator;"), ["1 uses navigator.gpu"]);
  assertEquals(powers("nn/a.ts", "const {\n  gpu: g,\n} = globalThis.navigator;"), ["1 uses navigator.gpu"]);
  assertEquals(powers("nn/a.ts", 'navigator["gpu"]; navigator?.gpu'), [
    "1 uses navigator.gpu",
    "1 uses navigator.gpu",
  ]);
  assertEquals(powers("nn/a.ts", "const { readFile } = Deno;"), ["1 uses Deno.*"]);
  assertEquals(powers("nn/a.ts", "const { Deno: d } = globalThis; globalThis.Deno"), ["1 uses Deno.*"]);
  assertEquals(powers("nn/a.ts", "new globalThis.Worker(url)"), ["1 uses new Worker"]);
  assertEquals(powers("nn/a.ts", "const { Worker: W } = self;"), ["1 uses new Worker"]);
  assertEquals(powers("nn/a.ts", "const { now } = performance; const { random } = Math;"), [
    "1 uses clocks",
    "1 uses Math.random",
  ]);
  assertEquals(powers("nn/a.ts", "let numWorkers: Worker[]; navigator.hardwareConcurrency"), []);
});

Deno.test("checkPackages() finds a package that another place owns", () => {
  const found = (path: string) =>
    checkPackages([{ path, text: 'import "comlink";\nimport { wrap } from "comlink";' }]).map((f) => f.line);
  assertEquals(found("nn/a.ts"), [1, 2]);
  assertEquals(found("actors/a.ts"), []);
});

Deno.test("checkImports() knows the rooms of a layer", () => {
  assertEquals(imports({ "strategies/tensor/a.ts": ["strategies/layout/mod.ts"] }), []);
  assertEquals(imports({ "strategies/mod.ts": ["strategies/tensor/mod.ts"] }), []);
  assertEquals(imports({ "strategies/layout/a.ts": ["strategies/tensor/mod.ts"] }).length, 1);
  assertEquals(imports({ "strategies/tensor/a.ts": ["strategies/layout/mesh.ts"] }).length, 1);
});

Deno.test("checkPowers() looks at code only, also inside templates", () => {
  const text = [
    "// Atomics.load",
    "/* new Worker */ const a = 'Atomics'; const b = /Deno.exit[/]/;",
    "const c = `Atomics ${`inner Atomics ${1}`} Atomics`;",
    "const d = `${Atomics.load(x, 0)} Atomics`;",
    "const half = a / b; const e = 'console.log';",
  ].join("\n");
  assertEquals(powers("nn/a.ts", text), ["4 uses Atomics"]);
});

Deno.test("readGraph() reads the imports of the repository's files", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/kernels`);
    await Deno.mkdir(`${root}/nn`);
    await Deno.writeTextFile(`${root}/deno.json`, "{}");
    await Deno.writeTextFile(
      `${root}/kernels/a.ts`,
      'import type { B } from "../nn/b.ts";\nexport const a: B = 1;',
    );
    await Deno.writeTextFile(`${root}/nn/b.ts`, "export type B = number;");
    const graph = await readGraph(root, ["kernels/a.ts", "nn/b.ts"]);
    assertEquals(graph.get("kernels/a.ts"), ["nn/b.ts"]);
    const [finding] = checkImports(graph);
    assertStringIncludes(finding.why, "kernels/ may import files");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
