/**
 * Checks that imports point down the diamond of layers and that every power is used by its owner only.
 *
 * Run by `deno task check:layers`; the tables below are the law.
 *
 * @module
 */
import { checkPackages, checkPowers } from "./powers.ts";
import { type Finding, readTree, report } from "./source.ts";

/** For every layer, the layers that it may import. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  files: [],
  kernels: ["files"],
  nn: ["kernels"],
  collectives: ["kernels"],
  actors: ["kernels", "collectives"],
  strategies: ["kernels", "nn", "collectives", "actors"],
  tokenizers: ["files"],
  data: ["files", "kernels", "tokenizers"],
  models: ["files", "kernels", "nn", "strategies"],
  adapters: ["files", "nn", "models"],
  checkpoint: ["files", "tokenizers", "kernels", "nn", "strategies", "data", "models", "adapters"],
  export: ["files", "tokenizers", "kernels", "nn", "models", "adapters", "checkpoint"],
  train: [
    "files",
    "tokenizers",
    "kernels",
    "nn",
    "collectives",
    "actors",
    "strategies",
    "data",
    "models",
    "adapters",
    "checkpoint",
  ],
  serve: [
    "files",
    "collectives",
    "tokenizers",
    "kernels",
    "nn",
    "actors",
    "strategies",
    "models",
    "adapters",
    "checkpoint",
    "train",
  ],
};

/** Layers that consist of rooms, each with the rooms of the layer that it may import, through their `mod.ts`. */
export const ROOMS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  strategies: {
    layout: [],
    expert: [],
    context: [],
    pipeline: ["layout"],
    tensor: ["layout"],
    data: ["expert"],
  },
  train: {
    config: [],
    stage: ["config"],
    step: ["config", "stage"],
    plan: ["config", "stage", "step"],
  },
};

/** A file and the files of the repository that it imports. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

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

function checkImport(file: string, target: string): Finding | undefined {
  const from = layerOf(file), to = layerOf(target);
  const at = { file, line: 1, what: `imports ${target}` };
  if (from === "tests" || from === "tools") return undefined;
  const peer = checkPeerImport(file, target);
  if (peer !== undefined) return peer;
  if (baseName(target).startsWith("_") && folderOf(file) !== folderOf(target)) {
    return { ...at, why: "a file _name.ts is private to its folder", todo: "export what you need without _" };
  }
  if (from === to) return checkRoom(file, target, ROOMS[from]);
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

/** Imports within a layer of rooms; its own `mod.ts` may import all of them. */
function checkRoom(
  file: string,
  target: string,
  rooms: typeof ROOMS[string] | undefined,
): Finding | undefined {
  const [from, to] = [file, target].map((path) => path.split("/")[1]);
  if (rooms === undefined || from === to) return undefined;
  const at = { file, line: 1, what: `imports ${target}` };
  if (rooms[to] === undefined) {
    if (rooms[from] === undefined) return undefined;
    return { ...at, why: "a room knows nothing of what uses it", todo: "move the shared part into a room" };
  }
  if (rooms[from] !== undefined && !rooms[from].includes(to)) {
    const names = rooms[from].join(", ") || "no other room";
    return { ...at, why: `${layerOf(file)}/${from}/ may import ${names}`, todo: "move the shared part down" };
  }
  if (baseName(target) === "mod.ts") return undefined;
  return {
    ...at,
    why: "rooms are imported through their mod.ts",
    todo: `import ${layerOf(target)}/${to}/mod.ts`,
  };
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
