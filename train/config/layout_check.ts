import { asUsageError, fileProblem, UsageError } from "../../files/mod.ts";
import type { Scope } from "../../nn/mod.ts";
import {
  checkContext,
  checkExactPlan,
  checkExpertParallel,
  checkPlan,
  checkSchedule,
  countParameters,
  makeSchedule,
  Mesh,
  parseSchedule,
  type Partition,
  partitionLayers,
  type Schedule,
  type ScheduleName,
  SCHEDULES,
} from "../../strategies/mod.ts";
import { countMicroBatches } from "./combinations.ts";
import type { TrainConfig } from "./config.ts";
import { checkExactSchedule } from "./exact_rules.ts";
import type { ModelParts } from "../../models/mod.ts";

/**
 * The schedule of a configuration, by name or from a file. One device runs its micro-batches one after another.
 *
 * @throws {UsageError} If there is no such schedule, or it does not fit the configuration.
 */
export async function loadSchedule(config: TrainConfig): Promise<Schedule> {
  const { pp, virtualStages, schedule: name } = config, m = countMicroBatches(config);
  if (pp === 1) return makeSchedule("1f1b", { p: 1, m });
  if ((SCHEDULES as readonly string[]).includes(name)) {
    const v = name === "interleaved" ? virtualStages : undefined;
    return asUsageError(() => makeSchedule(name as ScheduleName, { p: pp, m, v }));
  }
  const schedule = await readSchedule(name), { problems } = checkSchedule(schedule);
  if (problems.length > 0) throw new UsageError(`Cannot use --schedule ${name}: ${problems[0].message}`);
  if (schedule.p === pp && schedule.m === m) return schedule;
  throw new UsageError(
    `Cannot use --schedule ${name}: it is for ${schedule.p} devices and ${schedule.m} micro-batches, ` +
      `the run has --pp ${pp} and ${m} micro-batches`,
  );
}

/** The devices of a configuration. */
export function meshOf({ dp, pp, ep, cp, tp }: Pick<TrainConfig, "dp" | "pp" | "ep" | "cp" | "tp">): Mesh {
  return new Mesh({ dp, pp, ep, cp, tp });
}

/**
 * Which layers stand on which stage.
 *
 * @param times Milliseconds of each layer, for the method `measured`.
 */
export function partitionOf(
  { layers }: ModelParts,
  { p, v }: Schedule,
  method: string,
  times?: readonly number[],
): Partition {
  const counts = countParameters(layers);
  const facts = layers.map(({ name, type }, i) => ({ name, type, parameters: counts[i], cost: times?.[i] }));
  return partitionLayers(facts, { numStages: p * v, method });
}

/**
 * Checks everything about a layout that needs no device.
 *
 * @throws {UsageError} If the model cannot be cut that way.
 */
export function checkLayout(parts: ModelParts, schedule: Schedule, config: TrainConfig): void {
  const { tp, cp, ep, dp, context, partition, experts, batch, sp, numerics } = config;
  const build = (scope: Scope) => parts.layers.forEach((layer) => layer.build(scope));
  if (numerics === "exact") checkExactSchedule(schedule);
  asUsageError(() => {
    checkContext(context, cp);
    checkExpertParallel({ experts, ep, dataRanks: dp * ep, batch, microBatches: schedule.m });
    partitionOf(parts, schedule, partition);
    checkPlan(parts.plan, tp, build);
    if (numerics === "exact") checkExactPlan(parts.plan, { tp, sp }, build);
  });
}

async function readSchedule(path: string): Promise<Schedule> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(
      `Cannot use --schedule ${path}: ${fileProblem(error)}; names are ${SCHEDULES.join(", ")}`,
    );
  }
  return asUsageError(() => parseSchedule(text, path));
}
