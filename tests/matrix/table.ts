import { type CellRecord, reasonKey } from "./run_cell.ts";

const KINDS = ["same", "refused", "different", "failed"] as const;

/** The table of a run of the matrix, in Markdown: counts by model, by axis and setting, and refusals by reason. */
export function matrixTable(records: readonly CellRecord[]): string {
  return [countTable(records), hashes(records), reasonTable(records)].join("\n\n");
}

function countTable(records: readonly CellRecord[]): string {
  const rows = new Map<string, number[]>();
  const count = (row: string, { kind }: CellRecord) => {
    const counts = rows.get(row) ?? KINDS.map(() => 0);
    counts[KINDS.indexOf(kind)]++;
    rows.set(row, counts);
  };
  for (const record of records) {
    const { model, options: { sp, zero, schedule, recompute, ...axes } } = record.cell;
    count("all", record);
    count(`model ${model}`, record);
    for (const [axis, degree] of Object.entries(axes)) if (degree > 1) count(`${axis} ${degree}`, record);
    if (sp) count("sp", record);
    count(`zero ${zero}`, record);
    if (axes.pp > 1) count(`schedule ${schedule}`, record);
    count(`recompute ${recompute}`, record);
  }
  const names = [...rows.keys()].sort((a, b) =>
    Number(b === "all") - Number(a === "all") || a.localeCompare(b)
  );
  return [
    `| cells | trained, bits of one device | refused by name | different | failed |`,
    `|---|---|---|---|---|`,
    ...names.map((name) => `| ${name} | ${rows.get(name)!.join(" | ")} |`),
  ].join("\n");
}

function hashes(records: readonly CellRecord[]): string {
  const found = new Map<string, Set<string>>();
  for (const record of records) {
    if (record.kind !== "same") continue;
    found.set(
      record.cell.model,
      (found.get(record.cell.model) ?? new Set()).add(record.lossHash.slice(0, 16)),
    );
  }
  const lines = [...found].map(([model, set]) => `| ${model} | ${[...set].join(", ")} |`);
  return ["| model | loss hash of all trained cells |", "|---|---|", ...lines.sort()].join("\n");
}

function reasonTable(records: readonly CellRecord[]): string {
  const reasons = new Map<string, { count: number; example: string }>();
  for (const record of records) {
    if (record.kind !== "refused") continue;
    const known = reasons.get(reasonKey(record.reason));
    reasons.set(reasonKey(record.reason), {
      count: (known?.count ?? 0) + 1,
      example: known?.example ?? record.reason,
    });
  }
  const lines = [...reasons.values()].sort((a, b) => b.count - a.count).map(({ count, example }) =>
    `| ${count} | ${example.replaceAll("|", "\\|")} |`
  );
  return ["| refused | such as |", "|---|---|", ...lines].join("\n");
}
