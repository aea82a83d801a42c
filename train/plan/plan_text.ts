import { CATEGORIES, formatBytes } from "../../kernels/mod.ts";
import { largestRank } from "./memory_check.ts";
import type { RankPlan, RunPlan, StagePlan, Traffic } from "./plan_run.ts";

/** `0-3, 6`: runs of ranks. */
export function formatRanks(ranks: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const rank of ranks) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === rank - 1) run[1] = rank;
    else runs.push([rank, rank]);
  }
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(", ");
}

/**
 * The plan of a run as tables: which layers stand where, who holds what, whether it fits, what a step moves, the
 * bubble.
 */
export function formatPlan(plan: RunPlan, deviceMemoryBytes: number): string {
  const { ranks } = plan, { rank, extentBytes } = largestRank(plan), cap = deviceMemoryBytes;
  const verdict = extentBytes <= cap
    ? `Fits: rank ${rank} needs ${formatBytes(extentBytes)} of ${formatBytes(cap)} device memory`
    : `Does not fit: rank ${rank} needs ${formatBytes(extentBytes)}, device memory is ${formatBytes(cap)}`;
  const bubble = `Bubble: ${(100 * plan.bubble).toFixed(1)} % of a step`;
  const split = plan.stages.length > 1 ? ["Layers of each stage", stageTable(plan.stages), ""] : [];
  return [
    ...split,
    "Bytes held",
    holdings(ranks),
    "",
    verdict,
    "",
    "Bytes moved in a step",
    moves(ranks),
    "",
    bubble,
  ]
    .join("\n");
}

/** `embedding .. h.1 | h.2 .. head`: the split of a model, in one line. */
export function formatStages(stages: readonly StagePlan[]): string {
  const total = stages.reduce((sum, { measuredMs }) => sum + (measuredMs ?? 0), 0);
  const share = ({ measuredMs }: StagePlan) =>
    measuredMs === undefined ? "" : ` (${Math.round(100 * measuredMs / total)} % of the time)`;
  return stages.map((stage) => formatLayers(stage) + share(stage)).join(" | ");
}

function formatLayers({ layers }: StagePlan): string {
  return layers.length <= 2 ? layers.join(", ") : `${layers[0]} .. ${layers.at(-1)}`;
}

function stageTable(stages: readonly StagePlan[]): string {
  const isMeasured = stages[0].measuredMs !== undefined, measured = isMeasured ? ["measured"] : [];
  const rows = stages.map((stage, i) => {
    const { pp, layers, parameters, measuredMs } = stage;
    const time = isMeasured ? [`${measuredMs!.toFixed(2)} ms`] : [];
    return [`${i}`, `pp ${pp}`, formatLayers(stage), `${layers.length}`, `${parameters}`, ...time];
  });
  return align([["stage", "stands on", "layers", "number", "parameters", ...measured], ...rows]);
}

function holdings(ranks: readonly RankPlan[]): string {
  // Training caches no keys.
  const categories = CATEGORIES.filter((category) => category !== "cache");
  return table(ranks, [...categories, "total"], ({ bytes, totalBytes }) => [
    ...categories.map((category) => bytes[category]),
    totalBytes,
  ]);
}

function moves(ranks: readonly RankPlan[]): string {
  const name = ({ group, operation }: Traffic) => `${group} ${operation}`;
  const columns = [...new Set(ranks.flatMap(({ traffic }) => traffic.map(name)))];
  return table(ranks, [...columns, "total"], ({ traffic, bytesMoved }) => [
    ...columns.map((column) => traffic.find((row) => name(row) === column)?.bytes ?? 0),
    bytesMoved,
  ]);
}

/** A row of sizes for all ranks of which it says the same. */
function table(
  plans: readonly RankPlan[],
  columns: readonly string[],
  sizesOf: (plan: RankPlan) => readonly number[],
): string {
  const rows = new Map<string, { ranks: number[]; cells: string[] }>();
  for (const plan of plans) {
    const cells = sizesOf(plan).map(formatBytes), key = cells.join(), known = rows.get(key);
    if (known === undefined) rows.set(key, { ranks: [plan.rank], cells });
    else known.ranks.push(plan.rank);
  }
  const body = [...rows.values()].map(({ ranks, cells }) => [formatRanks(ranks), ...cells]);
  return align([["ranks", ...columns], ...body]);
}

/** Columns of equal width: the first to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
  ).join("\n");
}
