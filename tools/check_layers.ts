/**
 * Checks that imports point down the diamond of layers and that every power is used by its owner only.
 *
 * Run by `deno task check:layers`; the tables below are the law.
 *
 * @module
 */
import { type Finding, lineOf, readTree, report, type SourceFile, stripSource } from "./source.ts";

/** For every layer, the layers that it may import. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  files: [],
  kernels: [],
  nn: ["kernels"],
  collectives: ["kernels"],
  actors: ["kernels", "collectives"],
  strategies: ["kernels", "nn", "collectives", "actors"],
  data: ["files", "kernels"],
  train: ["files", "kernels", "nn", "collectives", "actors", "strategies", "data"],
};

/** What may be used in a few places only. */
export interface Power {
  readonly name: string;
  readonly pattern: RegExp;
  /** Files, or folders with a trailing slash. */
  readonly owners: readonly string[];
  readonly why: string;
}

const OUTSIDE = ["cli.ts", "cli/", "tools/", "tests/", "bench/", "examples/"];

/** Powers and their owners. */
export const POWERS: readonly Power[] = [
  {
    name: "Atomics",
    pattern: /\bAtomics\b/g,
    owners: ["collectives/words.ts", "tests/", "bench/"],
    why: "the explorer replaces this one file to run every interleaving",
  },
  {
    name: "shared memory",
    pattern: /\bnew\s+SharedArrayBuffer\b|\bshared\s*:\s*true\b/g,
    owners: [
      "kernels/heap.ts",
      "collectives/control_block.ts",
      "kernels/shared.ts",
      "tests/",
      "bench/",
    ],
    why: "every byte of a device is accounted where it is made",
  },
  {
    name: "new Worker",
    pattern: /\bnew\s+Worker\b/g,
    owners: ["actors/worker_pool.ts", "tests/", "bench/"],
    why: "a worker that nobody supervises outlives its run",
  },
  {
    name: "messages",
    pattern: /\bpostMessage\b|\bonmessage\b|\bComlink\b/g,
    owners: ["actors/", "tests/", "bench/"],
    why: "messages are the control plane; data goes through shared memory",
  },
  {
    name: "navigator.gpu",
    pattern: /\bnavigator\s*\.\s*gpu\b/g,
    owners: ["kernels/", "tests/", "bench/"],
    why: "backends are chosen in one place",
  },
  {
    name: "onnxruntime-web",
    pattern: /\bloadOrt\b/g,
    owners: ["kernels/onnx/", "tests/"],
    why: "it is large and has global state: one place loads it, when a device needs it",
  },
  {
    name: "Deno.*",
    pattern: /\bDeno\s*\.\s*\w/g,
    owners: ["files/", "data/", "train/", "actors/worker.ts", ...OUTSIDE],
    why: "the other layers below train/ run anywhere a module worker runs",
  },
  {
    name: "clocks",
    pattern: /\bperformance\s*\.\s*now\b|\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)/g,
    owners: ["kernels/clock.ts", "tools/", "tests/", "bench/"],
    why: "what reads a clock cannot be replayed",
  },
  {
    name: "Math.random",
    pattern: /\bMath\s*\.\s*random\b/g,
    owners: [],
    why: "every number of a run follows from its seed",
  },
  {
    name: "console.*",
    pattern: /\bconsole\s*\.\s*\w/g,
    owners: ["train/terminal.ts", "train/terminal_painter.ts", "train/speed_hint.ts", ...OUTSIDE],
    why: "a library does not write to its user's terminal, and --json must stay clean",
  },
];

/** A file and the files of the repository that it imports. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Uses of powers by files that do not own them. */
export function checkPowers(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    if (path.startsWith("tools/std/")) continue;
    const code = stripSource(text);
    for (const { name, pattern, owners, why } of POWERS) {
      if (owners.some((owner) => owner === path || (owner.endsWith("/") && path.startsWith(owner)))) continue;
      for (const match of code.matchAll(pattern)) {
        const todo = owners.length === 0
          ? "use the counter-based generator of nn/random.ts"
          : `call what its owner exports (${
            owners.filter((o) => !OUTSIDE.includes(o)).join(", ") || "cli.ts"
          })`;
        findings.push({ file: path, line: lineOf(code, match.index), what: `uses ${name}`, why, todo });
      }
    }
  }
  return findings;
}

/** Imports that point up or sideways, pass by a `mod.ts`, or reach a private file; and cycles. */
export function checkImports(graph: ImportGraph): Finding[] {
  const findings: Finding[] = [];
  for (const [file, targets] of graph) {
    for (const target of targets) {
      const finding = checkImport(file, target);
      if (finding !== undefined) findings.push(finding);
    }
  }
  return [...findings, ...findCycles(graph)];
}

/** Programs of peers, which are run on their own: an import of one would make its package part of ours. */
const PEER_PROGRAMS = "bench/peers/";

function checkPeerImport(file: string, target: string): Finding | undefined {
  if (!target.startsWith(PEER_PROGRAMS) || file.startsWith(PEER_PROGRAMS)) return undefined;
  const why = "peers are measured, they are no part of the package";
  return {
    file,
    line: 1,
    what: `imports ${target}`,
    why,
    todo: "run it as a process, as bench/served_process.ts does",
  };
}

/** Imports of npm packages that `deno.json` does not name. An example is a project of its own. */
export function checkPackages(files: readonly SourceFile[]): Finding[] {
  const why =
    "what the package depends on stands in deno.json, and peers are fetched only by who measures them";
  const todo = "name it in deno.json; for a peer call importPeer of bench/peers/import_peer.ts";
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    if (path.startsWith("tools/std/") || path.startsWith("examples/")) continue;
    // The blanked code tells imports from what looks like one in a string.
    for (const match of stripSource(text).matchAll(/^(?:import|export)\b[^;"]*"|\bimport\("/gm)) {
      const [specifier] = text.slice(match.index + match[0].length).split('"', 1);
      if (!specifier.startsWith("npm:")) continue;
      findings.push({ file: path, line: lineOf(text, match.index), what: `imports ${specifier}`, why, todo });
    }
  }
  return findings;
}

function checkImport(file: string, target: string): Finding | undefined {
  const from = layerOf(file), to = layerOf(target);
  const at = { file, line: 1, what: `imports ${target}` };
  if (from === "tests" || from === "tools") return undefined;
  const peer = checkPeerImport(file, target);
  if (peer !== undefined) return peer;
  if (baseName(target).startsWith("_") && folderOf(file) !== folderOf(target)) {
    return { ...at, why: "a file _name.ts is private to its folder", todo: "export what you need without _" };
  }
  if (from === to) return undefined;
  const allowed = LAYERS[from];
  if (allowed !== undefined && !allowed.includes(to)) {
    const why = `${from}/ may import ${allowed.length === 0 ? "nothing" : allowed.join(", ")}`;
    return { ...at, why, todo: "move the code down, or hand it in as an argument" };
  }
  if (to in LAYERS && target !== `${to}/mod.ts`) {
    return { ...at, why: "other layers are imported through their mod.ts", todo: `import ${to}/mod.ts` };
  }
  return undefined;
}

function findCycles(graph: ImportGraph): Finding[] {
  const state = new Map<string, "open" | "done">();
  const findings: Finding[] = [];
  const visit = (file: string, path: string[]) => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "open") {
      const cycle = [...path.slice(path.indexOf(file)), file].join(" -> ");
      const why = "files of a cycle cannot be read or tested one at a time";
      findings.push({ file, line: 1, what: `import cycle ${cycle}`, why, todo: "move the shared part out" });
      return;
    }
    state.set(file, "open");
    for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
    state.set(file, "done");
  };
  for (const file of graph.keys()) visit(file, []);
  return findings;
}

function layerOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

interface InfoModule {
  specifier: string;
  dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
}

/** Reads the import graph of the given files with `deno info --json`. */
export async function readGraph(root: string, files: readonly string[]): Promise<ImportGraph> {
  const base = new URL(`file://${root}/`).href;
  const folder = await Deno.makeTempDir();
  try {
    const all = files.map((file) => `import "${base}${file}";\n`).join("");
    await Deno.writeTextFile(`${folder}/all.ts`, all);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", `${root}/deno.json`, `${folder}/all.ts`],
      stderr: "piped",
    });
    const { success, stdout, stderr } = await command.output();
    if (!success) throw new Error(`deno info failed: ${new TextDecoder().decode(stderr).trim()}`);
    const modules = JSON.parse(new TextDecoder().decode(stdout)).modules as InfoModule[];
    return new Map(
      modules.filter((m) => m.specifier.startsWith(base)).map((m) => {
        const targets = (m.dependencies ?? []).flatMap((d) => [d.code?.specifier, d.type?.specifier]);
        const inside = targets.filter((t) => t?.startsWith(base)).map((t) => t!.slice(base.length));
        return [m.specifier.slice(base.length), [...new Set(inside)]];
      }),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const root = Deno.cwd();
  const files = readTree(root, [".ts"]);
  const graph = await readGraph(root, files.map((file) => file.path));
  Deno.exit(
    report("check:layers", files.length, [
      ...checkImports(graph),
      ...checkPowers(files),
      ...checkPackages(files),
    ]),
  );
}
