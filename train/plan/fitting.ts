/**
 * Looks for layouts of a run that fit the memory of its devices, by planning them.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import type { GivenOptions, TrainConfig, TrainJob } from "../config/mod.ts";
import { planRanks } from "./plan_run.ts";

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

/** Largest device memory that can be asked for, in MiB: what a 32-bit address reaches, less a page. */
const MAX_MIB = 4095;
/** How many times as many devices are tried. */
export const MOST_TIMES = 64;

/**
 * Layouts on as many devices in which every rank fits: a smaller micro-batch, or another strategy; those that need
 * recomputing, too, only if no other does.
 */
export async function findFitting(config: TrainConfig, remake: RemakeJob): Promise<FittingLayout[]> {
  const cap = config.deviceMemoryBytes;
  const search = async (more: GivenOptions) => {
    const changed = (candidates: readonly GivenOptions[]) =>
      candidates.map((changes) => ({ ...changes, ...more }));
    const [smaller] = await keepFitting(changed(smallerMicroBatches(config)), cap, remake, 1);
    const others = await keepFitting(changed(listCandidates(config)), cap, remake);
    return smaller === undefined ? others : [smaller, ...others];
  };
  const fitting = await search({});
  if (fitting.length > 0 || config.recompute === "full") return fitting;
  return await search({ recompute: "full" });
}

/** The first changes with which as many devices of more memory do; undefined if none can have so much. */
export async function findLargerMemory(
  config: TrainConfig,
  remake: RemakeJob,
): Promise<GivenOptions | undefined> {
  return await firstWithMemory([{}, ...leanest(config), ...listCandidates(config).map(withLeanest)], remake);
}

/** The fewest times as many devices on which the run fits, and what to change. */
export async function findMoreDevices(
  config: TrainConfig,
  remake: RemakeJob,
): Promise<{ readonly times: number; readonly changes: GivenOptions } | undefined> {
  const { tp, pp, dp } = config;
  for (let times = 2; times <= MOST_TIMES; times *= 2) {
    const layouts: GivenOptions[] = [{ tp: tp * times }, { pp: pp * times }, { dp: dp * times, zero: 3 }];
    const changes = await firstWithMemory([...layouts, ...layouts.map(withLeanest)], remake);
    if (changes !== undefined) return { times, changes };
  }
  return undefined;
}

/** Halves of the micro-batch, the largest first: passes of fewer sequences keep fewer activations. */
function smallerMicroBatches({ microBatch }: TrainConfig): GivenOptions[] {
  const sizes: GivenOptions[] = [];
  for (let size = microBatch; size > 1;) sizes.push({ microBatch: size = Math.ceil(size / 2) });
  return sizes;
}

/** The fewest activations, with and without computing them again. */
function leanest({ microBatch }: TrainConfig): GivenOptions[] {
  return [...(microBatch > 1 ? [{ microBatch: 1 }] : []), withLeanest({})];
}

function withLeanest(changes: GivenOptions): GivenOptions {
  return { ...changes, microBatch: 1, recompute: "full" };
}

async function firstWithMemory(
  candidates: readonly GivenOptions[],
  remake: RemakeJob,
): Promise<GivenOptions | undefined> {
  const [first] = await keepFitting(candidates, MAX_MIB * 2 ** 20, remake, 1);
  return first && { ...first.changes, deviceMemory: `${Math.ceil(first.extentBytes / 2 ** 20)}MiB` };
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
  cap: number,
  remake: RemakeJob,
  atMost = Infinity,
): Promise<FittingLayout[]> {
  const fitting: FittingLayout[] = [];
  for (const changes of candidates) {
    if (fitting.length === atMost) break;
    const extentBytes = await extentOf(changes, cap, remake);
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
