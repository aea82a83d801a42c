import { CATEGORIES, formatBytes } from "../kernels/mod.ts";
import { largestRank } from "./memory_check.ts";
import type { RankPlan, RunPlan, Traffic } from "./plan_run.ts";

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

/** The plan of a run as tables: who holds what, whether it fits, what a step moves, and how long stages wait. */
export function formatPlan(plan: RunPlan, deviceMemoryBytes: number): string {
  const { ranks } = plan, { rank, extentBytes } = largestRank(plan), cap = deviceMemoryBytes;
  const verdict = extentBytes <= cap
    ? `Fits: rank ${rank} needs ${formatBytes(extentBytes)} of ${formatBytes(cap)} device memory`
    : `Does not fit: rank ${rank} needs ${formatBytes(extentBytes)}, device memory is ${formatBytes(cap)}`;
  const bubble = `Bubble: ${(100 * plan.bubble).toFixed(1)} % of a step`;
  return ["Bytes held", holdings(ranks), "", verdict, "", "Bytes moved in a step", moves(ranks), "", bubble]
    .join("\n");
}

function holdings(ranks: readonly RankPlan[]): string {
  return table(ranks, [...CATEGORIES, "total"], ({ bytes, totalBytes }) => [
    ...CATEGORIES.map((category) => bytes[category]),
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
