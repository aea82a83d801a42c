import { UsageError } from "../files/mod.ts";
import { formatBytes, formatTable } from "../kernels/mod.ts";
import type { TrainConfig } from "./config.ts";
import type { TrainJob } from "./job.ts";
import { flagOf } from "./option_names.ts";
import type { GivenOptions } from "./options.ts";
import { planRanks, type RankPlan, type RunPlan } from "./plan_run.ts";

/**
 * The same run with other options.
 *
 * @throws {UsageError} If they cannot be used together.
 */
export type RemakeJob = (changes: GivenOptions) => Promise<TrainJob>;

/** Options that make a run fit its devices. */
export interface FittingLayout {
  /** What to change. */
  readonly changes: GivenOptions;
  /** The smallest device memory that every rank fits in. */
  readonly extentBytes: number;
}

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
  const fitting = await findFitting(config, remake);
  if (fitting.length > 0) {
    const shown = fitting.map(({ changes, extentBytes }) =>
      `${formatChanges(changes)} (${formatBytes(extentBytes)})`
    );
    throw new UsageError(`${needs}; on as many devices these fit: ${shown.join(", ")}`);
  }
  throw new UsageError(
    `${needs}; no other strategy on as many devices fits: use --device-memory ${ceilMiB(extentBytes)}MiB, ` +
      `more devices, or a smaller model or --micro-batch`,
  );
}

/** Layouts on as many devices in which every rank fits; those that need recomputing, too, only if no other does. */
export async function findFitting(config: TrainConfig, remake: RemakeJob): Promise<FittingLayout[]> {
  const candidates = listCandidates(config), fitting = await keepFitting(candidates, config, remake);
  if (fitting.length > 0 || config.recompute === "full") return fitting;
  const recomputing = candidates.map((changes) => ({ ...changes, recompute: "full" }));
  return await keepFitting(recomputing, config, remake);
}

/** Changes to a layout that keep the number of devices. */
export function listCandidates(config: TrainConfig): GivenOptions[] {
  const { dp, tp, pp, zero, recompute } = config, candidates: GivenOptions[] = [];
  for (let stage = Math.max(1, zero + 1); dp > 1 && stage <= 3; stage++) candidates.push({ zero: stage });
  const factors = Array.from({ length: dp }, (_, i) => i + 1).filter((n) => n > 1 && dp % n === 0);
  for (const n of factors) candidates.push({ dp: dp / n, tp: tp * n, ...withMicroBatch(config, dp / n) });
  for (const n of factors) candidates.push({ dp: dp / n, pp: pp * n, ...withMicroBatch(config, dp / n) });
  if (recompute !== "full") candidates.push({ recompute: "full" });
  return candidates;
}

/** A device that gets more sequences still takes as many at a time. */
function withMicroBatch({ batch, ep, microBatch }: TrainConfig, dp: number): GivenOptions {
  return Math.ceil(batch / (dp * ep)) === microBatch ? {} : { microBatch };
}

async function keepFitting(
  candidates: readonly GivenOptions[],
  { deviceMemoryBytes }: TrainConfig,
  remake: RemakeJob,
): Promise<FittingLayout[]> {
  const fitting: FittingLayout[] = [];
  for (const changes of candidates) {
    const extentBytes = await extentOf(changes, deviceMemoryBytes, remake);
    if (extentBytes !== undefined) fitting.push({ changes, extentBytes });
  }
  return fitting;
}

/** Memory of the largest rank; undefined if that is above the cap, or the options do not go together. */
async function extentOf(
  changes: GivenOptions,
  cap: number,
  remake: RemakeJob,
): Promise<number | undefined> {
  let largest = 0;
  try {
    for await (const { extentBytes } of planRanks(await remake(changes))) {
      if (extentBytes > cap) return undefined;
      largest = Math.max(largest, extentBytes);
    }
  } catch (error) {
    if (error instanceof UsageError || error instanceof RangeError) return undefined;
    throw error;
  }
  return largest;
}

/** `{ dp: 1, tp: 4 }` as `--dp 1 --tp 4`. */
function formatChanges(changes: GivenOptions): string {
  return Object.entries(changes).map(([key, value]) => `${flagOf(key)} ${value}`).join(" ");
}

/** As an option takes it. */
function formatSize(bytes: number): string {
  return formatBytes(bytes).replace(" ", "").replace(/\.0(?=[KMG])/, "");
}

function ceilMiB(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
