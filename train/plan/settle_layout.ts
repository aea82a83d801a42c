import type { Source } from "../../data/mod.ts";
import { checkLayout, loadSchedule, partitionOf, type TrainConfig, type TrainJob } from "../config/mod.ts";
import { type MeasureLayers, measureLayers } from "./layer_times.ts";
import type { ModelParts } from "../../models/mod.ts";

/** A layout that every rank can build without asking. */
export type SettledLayout<Config extends TrainConfig> = Pick<TrainJob, "schedule" | "layerTimes"> & {
  /** Its `partition` is a count for each stage if layers had to be measured. */
  readonly config: Config;
};

/**
 * Checks a layout, and settles what is decided by measuring: how `--partition measured` splits the layers.
 *
 * @param measure Times the layers; not called unless they are to be split by their times.
 * @throws {UsageError} If the model cannot be cut that way.
 */
export async function settleLayout<Config extends TrainConfig>(
  parts: ModelParts,
  source: Source,
  config: Config,
  measure: MeasureLayers = measureLayers,
): Promise<SettledLayout<Config>> {
  const schedule = await loadSchedule(config), isMeasured = config.partition === "measured";
  checkLayout(parts, schedule, isMeasured ? { ...config, partition: "uniform" } : config);
  if (!isMeasured || config.pp === 1) return { config, schedule };
  const layerTimes = measure(parts, source, config);
  const { counts } = partitionOf(parts, schedule, "measured", layerTimes);
  return { config: { ...config, partition: counts.join() }, schedule, layerTimes };
}
