import { cpus } from "node:os";

/** The machine that was measured. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly deno: string;
  /** ISO 8601. */
  readonly date: string;
}

const FOLDER = new URL("./results/", import.meta.url);

/** This machine, today. */
export function thisMachine(): Machine {
  const cpu = cpus().at(0)?.model.trim() ?? "unknown processor";
  const date = new Date().toISOString().slice(0, 10);
  return { cpu, cores: navigator.hardwareConcurrency, deno: Deno.version.deno, date };
}

/** `2026-11-25_amd_epyc_2_cores.md`. */
export function recordName({ cpu, cores, date }: Machine): string {
  const slug = cpu.replace(/\([^)]*\)/g, "").toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
  return `${date}_${slug}_${cores}_cores.md`;
}

/** The file with these sections: one with the same title is replaced, the others stay. */
export function mergeRecord(existing: string, sections: readonly string[], machine: Machine): string {
  const parts = new Map<string, string>();
  const titleOf = (section: string) => section.split("\n")[0];
  const known = existing.split(/^(?=## )/m).slice(1);
  for (const section of [...known, ...sections]) parts.set(titleOf(section), section.trim());
  const { cpu, cores, deno, date } = machine;
  // Lines of a table and of a reason are as long as they are.
  const head = `<!-- deno-fmt-ignore-file -->\n\n# ${cpu}, ${cores} cores, Deno ${deno}, ${date}\n\n` +
    "Written by `deno task bench:record matmul | collectives | step`. `fast` is with the V8 flags\n" +
    "`--experimental-wasm-revectorize,--no-wasm-bounds-checks`, as the tasks run, `plain` without.";
  return [head, ...parts.values()].join("\n\n") + "\n";
}

/** Writes sections to the file of this machine and day; returns its path. */
export async function writeRecord(sections: readonly string[]): Promise<string> {
  const machine = thisMachine(), url = new URL(recordName(machine), FOLDER);
  const existing = await Deno.readTextFile(url).catch(() => "");
  await Deno.writeTextFile(url, mergeRecord(existing, sections, machine));
  return `bench/results/${recordName(machine)}`;
}
