/**
 * Checks that every power is used by its owner only, also through destructuring and `globalThis`.
 *
 * Run by `deno task check:layers`; the tables below are the law.
 *
 * @module
 */
import { type Finding, lineOf, type SourceFile, stripSource } from "./source.ts";

/** Packages that one place imports, with that place. */
const PACKAGE_OWNERS: Readonly<Record<string, { readonly owner: string; readonly why: string }>> = {
  comlink: { owner: "actors/", why: "messages are the control plane; data goes through shared memory" },
};

/** What may be used in a few places only. */
export interface Power {
  readonly name: string;
  readonly pattern: RegExp;
  /** Files, or folders with a trailing slash. */
  readonly owners: readonly string[];
  readonly why: string;
}

/** Any of the patterns. */
function any(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"), "g");
}

/** `object.member`, `object["member"]`, `{ member } = object`. */
function memberOf(object: string, member: string): RegExp {
  const taken = `\\{[^{}]*\\b${member}\\b[^{}]*\\}\\s*=\\s*(?:globalThis\\s*\\.\\s*)?${object}\\b`;
  return any(
    new RegExp(`\\b${object}\\s*\\??\\.\\s*${member}\\b`),
    new RegExp(`\\b${object}\\s*\\[`),
    new RegExp(taken),
  );
}

/** A global by way of the global object. */
function ofGlobal(name: string): RegExp {
  return any(memberOf("globalThis", name), memberOf("self", name));
}

const OUTSIDE = ["cli.ts", "cli/", "tools/", "tests/", "bench/", "examples/"];

/** Powers and their owners. */
export const POWERS: readonly Power[] = [
  {
    name: "Atomics",
    pattern: /\bAtomics\b/g,
    owners: ["collectives/control/words.ts", "tests/", "bench/"],
    why: "the explorer replaces this one file to run every interleaving",
  },
  {
    name: "shared memory",
    pattern: /\bnew\s+SharedArrayBuffer\b|\bshared\s*:\s*true\b/g,
    owners: [
      "kernels/memory/heap.ts",
      "collectives/control/control_block.ts",
      "kernels/memory/shared.ts",
      "tests/",
      "bench/",
    ],
    why: "every byte of a device is accounted where it is made",
  },
  {
    name: "new Worker",
    pattern: any(/\bnew\s+Worker\b/, ofGlobal("Worker")),
    owners: ["actors/worker_pool.ts", "kernels/onnx/ort.ts", "tests/", "bench/"],
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
    pattern: memberOf("navigator", "gpu"),
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
    pattern: /(?<![\w$.])Deno\b(?!\s*[?]?:)|\bglobalThis\s*\??\.\s*Deno\b/g,
    owners: ["files/", "data/", "checkpoint/", "export/", "train/", "actors/worker.ts", ...OUTSIDE],
    why: "the other layers below train/ run anywhere a module worker runs",
  },
  {
    name: "clocks",
    pattern: any(memberOf("performance", "now"), memberOf("Date", "now"), /\bnew\s+Date\s*\(\s*\)/),
    owners: ["kernels/clock.ts", "tools/", "tests/", "bench/"],
    why: "what reads a clock cannot be replayed",
  },
  {
    name: "Math.random",
    pattern: memberOf("Math", "random"),
    owners: [],
    why: "every number of a run follows from its seed",
  },
  {
    name: "console.*",
    pattern: /\bconsole\b/g,
    owners: ["train/speed_hint.ts", ...OUTSIDE],
    why: "a library does not write to its user's terminal, and --json must stay clean",
  },
];

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
      const at = { file: path, line: lineOf(text, match.index), what: `imports ${specifier}` };
      const owned = PACKAGE_OWNERS[specifier];
      if (specifier.startsWith("npm:")) findings.push({ ...at, why, todo });
      else if (owned !== undefined && !new RegExp(`^(?:${owned.owner}|tests/|bench/)`).test(path)) {
        findings.push({ ...at, why: owned.why, todo: `call what ${owned.owner} exports` });
      }
    }
  }
  return findings;
}
