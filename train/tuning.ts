/**
 * What of a model a run trains: all, what a pattern finds, or adapters.
 *
 * @module
 */
import { makeAdapters, type ModelAdapters, openAdapters, type StoredAdapters } from "../adapters/mod.ts";
import {
  findModel,
  type ModelDirectory,
  type NamedShapes,
  type RunStart,
  type SavedTensors,
} from "../checkpoint/mod.ts";
import { UsageError } from "../files/mod.ts";
import { loadModel, shapesOf, tuningOf } from "../models/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import type { TrainConfig } from "./config/mod.ts";
import type { StartingPoint } from "./starting_point.ts";

/** What is asked of it. */
export type TuningOptions = Pick<
  TrainConfig,
  "train" | "loraRank" | "loraAlpha" | "loraTargets" | "adapter" | "init" | "resume"
>;

/** A model with what is trained of it. */
export interface TunedModel {
  /** With its tuning. */
  readonly spec: ModelSpec;
  /** Where the run starts, adapters included. */
  readonly start: RunStart;
  /** What checkpoints hold. */
  readonly saved: SavedTensors;
  /** One line on it; undefined if all is trained. */
  readonly statement?: string;
}

/**
 * Settles what of a model is trained.
 *
 * @param from What was loaded; adapters are trained on a model that is there.
 * @throws {UsageError} If a pattern or a target means nothing, or an adapter is of another model.
 */
export async function settleTuning(
  spec: ModelSpec,
  start: RunStart,
  from: Pick<StartingPoint, "loaded" | "resumed">,
  options: TuningOptions,
): Promise<TunedModel> {
  checkTogether(from, options);
  const adapters = await adaptersOf(from, options);
  if (adapters !== undefined) return await withAdapters(spec, start, adapters);
  const shapes = shapesOf((await loadModel(spec)).layers);
  if (options.train === undefined) return { spec, start, saved: { weights: shapes, trained: shapes } };
  const trained = trainedShapes(shapes, options.train);
  return {
    spec: { ...spec, tuning: { trained: options.train } },
    start,
    saved: { weights: shapes, trained },
    statement: `training ${describe(trained)} of ${describe(shapes)}`,
  };
}

async function withAdapters(
  spec: ModelSpec,
  start: RunStart,
  adapters: ModelAdapters | StoredAdapters,
): Promise<TunedModel> {
  const tuned = { ...spec, tuning: { adapters: adapters.sizes } }, { shapes, names, json } = adapters;
  const all = shapesOf((await loadModel(spec)).layers);
  const stored = "weights" in adapters ? adapters.weights : [];
  return {
    spec: tuned,
    start: { ...start, weights: new Map([...start.weights ?? [], ...stored]) },
    saved: { weights: shapes, trained: shapes, adapter: { names, json } },
    statement: `training adapters of ${Object.keys(adapters.sizes).length} layers, ${describe(shapes)}; ` +
      `${describe(all)} are frozen`,
  };
}

/** Adapters that go on, that are in a directory, or new ones. */
async function adaptersOf(
  { loaded, resumed }: Pick<StartingPoint, "loaded" | "resumed">,
  { adapter, loraRank: rank, loraAlpha, loraTargets, init }: TuningOptions,
): Promise<ModelAdapters | undefined> {
  if (resumed?.adapters !== undefined) return resumed.adapters;
  if (loaded === undefined) return undefined;
  if (adapter !== undefined) return rebased(await openAdapters(await findModel(adapter), loaded), loaded);
  if (rank === undefined) return undefined;
  const targets = loraTargets?.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const base = await Deno.realPath(init ?? loaded.folder);
  return await makeAdapters(loaded, { rank, alpha: loraAlpha ?? 2 * rank, targets, base });
}

/** Adapters of the model that they are trained on now. */
async function rebased(adapters: StoredAdapters, { folder }: ModelDirectory): Promise<StoredAdapters> {
  const base = await Deno.realPath(folder), json = { ...adapters.json, base_model_name_or_path: base };
  return { ...adapters, config: { ...adapters.config, base }, json };
}

function checkTogether(
  { loaded, resumed }: Pick<StartingPoint, "loaded" | "resumed">,
  options: TuningOptions,
): void {
  const { train, loraRank, loraAlpha, loraTargets, adapter } = options;
  const asked = Object.entries({ "--lora-rank": loraRank, "--adapter": adapter, "--train": train });
  const given = asked.filter(([, value]) => value !== undefined).map(([name]) => name);
  const fail = (option: string, why: string): never => {
    throw new UsageError(`Cannot use ${option}: ${why}`);
  };
  if (given.length > 1) fail(given.join(" with "), "a run trains one of them; give one");
  if (loraRank === undefined && (loraAlpha ?? loraTargets) !== undefined) {
    fail(
      loraAlpha === undefined ? "--lora-targets" : "--lora-alpha",
      "it is one of new adapters; give --lora-rank",
    );
  }
  if (resumed !== undefined && (loraRank ?? adapter) !== undefined) {
    fail(
      given[0],
      "the run that goes on has adapters of its own, or none; leave the option out, or start with --init",
    );
  }
  if (given.length > 0 && loaded === undefined) fail(given[0], "there is no model to tune; give --init DIR");
}

function trainedShapes(shapes: NamedShapes, pattern: string): NamedShapes {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot use --train ${JSON.stringify(pattern)}: ${problem}`);
  };
  try {
    new RegExp(pattern);
  } catch (error) {
    return fail(`it is no regular expression: ${(error as Error).message}`);
  }
  const { isTrained } = tuningOf({ trained: pattern });
  const trained = new Map([...shapes].filter(([name]) => isTrained(name)));
  if (trained.size > 0) return trained;
  const names = [...shapes.keys()],
    few = names.length > 6 ? [...names.slice(0, 5), "...", names.at(-1)] : names;
  return fail(`it is found in no parameter's name; they are ${few.join(", ")}`);
}

function describe(shapes: NamedShapes): string {
  const count = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return `${count.toLocaleString("en-US")} parameters`;
}
