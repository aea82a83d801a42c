import { CATEGORIES, formatBytes } from "../kernels/mod.ts";
import { largestRank } from "./memory_check.ts";
import type { RankPlan, RunPlan, Traffic } from "./plan_run.ts";

/** Ranks whose plans are equal. */
export interface EqualRanks {
  /** In order. */
  readonly ranks: readonly number[];
  /** The plan of the first of them. */
  readonly plan: RankPlan;
}

/** Puts ranks of equal plans together, in the order of the first of each. */
export function foldRanks(plans: readonly RankPlan[]): EqualRanks[] {
  const folded = new Map<string, { ranks: number[]; plan: RankPlan }>();
  for (const plan of plans) {
    const { rank, ...rest } = plan, key = JSON.stringify(rest), known = folded.get(key);
    if (known === undefined) folded.set(key, { ranks: [rank], plan });
    else known.ranks.push(rank);
  }
  return [...folded.values()];
}

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
  const rows = foldRanks(plan.ranks), { rank, extentBytes } = largestRank(plan), cap = deviceMemoryBytes;
  const verdict = extentBytes <= cap
    ? `Fits: rank ${rank} needs ${formatBytes(extentBytes)} of ${formatBytes(cap)} device memory`
    : `Does not fit: rank ${rank} needs ${formatBytes(extentBytes)}, device memory is ${formatBytes(cap)}`;
  const bubble = `Bubble: ${(100 * plan.bubble).toFixed(1)} % of a step`;
  return ["Bytes held", holdings(rows), "", verdict, "", "Bytes moved in a step", moves(rows), "", bubble]
    .join("\n");
}

function holdings(rows: readonly EqualRanks[]): string {
  const head = ["ranks", ...CATEGORIES, "total"];
  const body = rows.map(({ ranks, plan: { bytes, totalBytes } }) => [
    formatRanks(ranks),
    ...CATEGORIES.map((category) => formatBytes(bytes[category])),
    formatBytes(totalBytes),
  ]);
  return align([head, ...body]);
}

function moves(rows: readonly EqualRanks[]): string {
  const name = ({ group, operation }: Traffic) => `${group} ${operation}`;
  const columns = [...new Set(rows.flatMap(({ plan }) => plan.traffic.map(name)))];
  const body = rows.map(({ ranks, plan: { traffic, bytesMoved } }) => [
    formatRanks(ranks),
    ...columns.map((column) => formatBytes(traffic.find((row) => name(row) === column)?.bytes ?? 0)),
    formatBytes(bytesMoved),
  ]);
  return align([["ranks", ...columns, "total"], ...body]);
}

/** Columns of equal width: the first to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
  ).join("\n");
}
