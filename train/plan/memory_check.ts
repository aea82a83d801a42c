import { UsageError } from "../../files/mod.ts";
import { formatBytes, formatTable } from "../../kernels/mod.ts";
import { flagOf, type GivenOptions, type TrainConfig } from "../config/mod.ts";
import {
  findFitting,
  findLargerMemory,
  findMoreDevices,
  type FittingLayout,
  MOST_TIMES,
  type RemakeJob,
} from "./fitting.ts";
import type { RankPlan, RunPlan } from "./plan_run.ts";

/** The rank that needs the largest memory. */
export function largestRank({ ranks }: Pick<RunPlan, "ranks">): RankPlan {
  return ranks.reduce((largest, rank) => rank.extentBytes > largest.extentBytes ? rank : largest);
}

/**
 * Refuses a run that does not fit its devices.
 *
 * @param remake Makes the jobs of other layouts, of which those that fit are named.
 * @throws {UsageError} If a rank needs more than `config.deviceMemoryBytes`: by how much, for what, and what would fit.
 */
export async function checkMemory(plan: RunPlan, config: TrainConfig, remake: RemakeJob): Promise<void> {
  const { rank, bytes, extentBytes } = largestRank(plan), cap = config.deviceMemoryBytes;
  if (extentBytes <= cap) return;
  const needs =
    `Cannot train with --device-memory ${formatSize(cap)}: rank ${rank} of ${plan.ranks.length} ` +
    `needs ${formatBytes(extentBytes)} (${formatTable(bytes)})`;
  throw new UsageError(`${needs}; ${await advise(config, remake)}`);
}

/** What would fit, as options that can be given as they stand. */
async function advise(config: TrainConfig, remake: RemakeJob): Promise<string> {
  const fitting = await findFitting(config, remake);
  if (fitting.length > 0) return `on as many devices these fit: ${fitting.map(formatLayout).join(", ")}`;
  const larger = await findLargerMemory(config, remake);
  if (larger !== undefined) return `no other strategy on as many devices fits: use ${formatChanges(larger)}`;
  const more = await findMoreDevices(config, remake);
  if (more === undefined) {
    return `nothing on up to ${MOST_TIMES} times as many devices fits: use a smaller model`;
  }
  const { times, changes } = more, { dp, ep, cp, tp, pp } = config;
  return `nothing on as many devices fits; on ${times * dp * ep * cp * tp * pp} this does: ${
    formatChanges(changes)
  }`;
}

function formatLayout({ changes, extentBytes }: FittingLayout): string {
  return `${formatChanges(changes)} (${formatBytes(extentBytes)})`;
}

/** `{ dp: 1, tp: 4 }` as `--dp 1 --tp 4`. */
function formatChanges(changes: GivenOptions): string {
  return Object.entries(changes).map(([key, value]) => `${flagOf(key)} ${value}`).join(" ");
}

/** As an option takes it, to the byte. */
function formatSize(bytes: number): string {
  const units = ["GiB", "MiB", "KiB"], unit = units.findIndex((_, i) => bytes % 2 ** (30 - 10 * i) === 0);
  return unit < 0 ? `${bytes}` : `${bytes / 2 ** (30 - 10 * unit)}${units[unit]}`;
}
