/**
 * A DeepSpeed configuration as options of `train`: what has the same meaning is taken over, what would change the run and
 * is not computed here is refused by name, and the rest, which is about how DeepSpeed does it, is listed.
 *
 * Source: https://www.deepspeed.ai/docs/config-json/
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import type { GivenOptions } from "./options.ts";

/** Options of a file. */
export interface FileOptions {
  /** By their camelCase names. */
  readonly options: GivenOptions;
  /** Keys that have no effect here. */
  readonly ignored: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** Keys that say how DeepSpeed computes, measures and reports, and not what. */
const INERT = [
  ...["steps_per_print", "wall_clock_breakdown", "dump_state", "memory_breakdown", "flops_profiler"],
  ...["comms_logger", "tensorboard", "wandb", "csv_monitor", "comet", "prescale_gradients", "timers"],
  ...["gradient_predivide_factor", "communication_data_type", "disable_allgather", "autotuning", "aio"],
  ...["activation_checkpointing", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer"],
];
/** Keys of `zero_optimization` that do. */
const INERT_ZERO =
  /^(?:allgather_.*|overlap_comm|reduce_.*|contiguous_gradients|round_robin_gradients|sub_group_size|stage3_.*|ignore_unused_parameters|use_multi_rank_bucket_allreduce)$/;

/** Of the batch: how many sequences in all, in a pass of one device, and how many passes. */
const BATCH_KEYS = ["train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"];
/** Keys by which a configuration of DeepSpeed is known. */
const KEYS = [...BATCH_KEYS, "zero_optimization", "fp16", "optimizer", "scheduler", "gradient_clipping"];

/** Whether a parsed file is a configuration of DeepSpeed. */
export function isDeepSpeed(json: Json): boolean {
  return KEYS.some((key) => key in json);
}

/** A value, or undefined where the file leaves it to the program (`"auto"`). */
function take(section: Json, key: string): unknown {
  return section[key] === "auto" ? undefined : section[key];
}

/**
 * The options of a DeepSpeed configuration.
 *
 * @param path For messages.
 * @param dp Replicas, if options say so: the batch may be given for one device.
 * @throws {UsageError} Names the key that cannot be honoured.
 */
export function fromDeepSpeed(json: Json, path: string, dp: number | undefined): FileOptions {
  const reader = new Reader(path), ignored: string[] = [];
  for (const key of Object.keys(json)) {
    if (INERT.includes(key)) ignored.push(key);
    else if (!Object.hasOwn(SECTIONS, key) && !BATCH_KEYS.includes(key)) reader.refuse(key, json[key]);
  }
  const sections = Object.entries(SECTIONS).filter(([key]) => take(json, key) !== undefined);
  const { minLrRatio, ...options }: Record<string, unknown> = Object.assign(
    readBatch(json, reader, dp),
    ...sections.map(([key, read]) => read(json[key], reader, ignored)),
  );
  if (minLrRatio !== undefined) {
    if (options.lr === undefined) {
      reader.refuse("scheduler.params.cos_min_ratio", minLrRatio, "needs optimizer.params.lr");
    }
    options.minLr = (minLrRatio as number) * (options.lr as number);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { options: Object.fromEntries(given) as GivenOptions, ignored };
}

/** Says what is wrong with a file. */
class Reader {
  constructor(readonly path: string) {}

  refuse(
    key: string,
    value: unknown,
    why = "is not honoured here, and would change the run; remove it",
  ): never {
    throw new UsageError(`Cannot use ${this.path}: ${key} ${JSON.stringify(value)} ${why}`);
  }

  /** The object at a key. */
  section(key: string, value: unknown): Json {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
    return this.refuse(key, value, "must be an object");
  }

  /** Refuses keys of a section that are not known. */
  only(name: string, section: Json, known: readonly string[]): void {
    for (const key of Object.keys(section)) {
      if (!known.includes(key)) this.refuse(`${name}.${key}`, section[key]);
    }
  }
}

/** Batch = micro-batch x accumulation x replicas; two of them say the third. */
function readBatch(json: Json, reader: Reader, dp: number | undefined): GivenOptions {
  const [batch, microBatch, steps] = BATCH_KEYS.map((key) => take(json, key) as number | undefined);
  if (batch !== undefined) {
    if (microBatch === undefined || steps === undefined) return { batch, microBatch };
    const replicas = batch / (microBatch * steps);
    if (Number.isInteger(replicas) && (dp === undefined || dp === replicas)) {
      return { batch, microBatch, dp: replicas };
    }
    reader.refuse(
      "train_batch_size",
      batch,
      `must be ${BATCH_KEYS[1]} ${microBatch} x ${BATCH_KEYS[2]} ${steps} x the replicas${
        dp === undefined ? "" : `, here ${dp}`
      }`,
    );
  }
  if (microBatch === undefined) return {};
  if (dp === undefined) {
    reader.refuse(BATCH_KEYS[1], microBatch, "needs train_batch_size, or --dp beside the file");
  }
  return { batch: microBatch * (steps ?? 1) * dp!, microBatch };
}

type ReadSection = (value: unknown, reader: Reader, ignored: string[]) => Record<string, unknown>;

const SECTIONS: Readonly<Record<string, ReadSection>> = {
  gradient_clipping: (value) => ({ gradClip: value }),
  zero_optimization: (value, reader, ignored) => {
    const section = reader.section("zero_optimization", value);
    for (const [key, held] of Object.entries(section)) {
      const isOff = held === false || (held as Json | null)?.device === "none";
      if (key === "stage" || (key.startsWith("offload_") && isOff)) continue;
      if (!INERT_ZERO.test(key)) reader.refuse(`zero_optimization.${key}`, held);
      ignored.push(`zero_optimization.${key}`);
    }
    return { zero: take(section, "stage") };
  },
  bf16: (value, reader) => {
    const section = reader.section("bf16", value);
    reader.only("bf16", section, ["enabled"]);
    return take(section, "enabled") === true ? { precision: "bf16" } : {};
  },
  fp16: (value, reader) => {
    const { enabled } = reader.section("fp16", value);
    if (enabled === true) reader.refuse("fp16.enabled", true, "is not computed here; use bf16");
    return {};
  },
  optimizer: (value, reader) => {
    const { type, params = {}, ...rest } = reader.section("optimizer", value);
    reader.only("optimizer", rest, []);
    const section = reader.section("optimizer.params", params);
    // DeepSpeed's Adam decays weights as AdamW does, unless it is told not to.
    if (type !== "AdamW" && type !== "Adam") {
      reader.refuse("optimizer.type", type, 'is not computed here; use "AdamW"');
    }
    reader.only("optimizer.params", section, [
      "lr",
      "betas",
      "eps",
      "weight_decay",
      "torch_adam",
      "adam_w_mode",
    ]);
    if (section.adam_w_mode === false) reader.refuse("optimizer.params.adam_w_mode", false);
    const eps = take(section, "eps");
    if (eps !== undefined && eps !== 1e-8) {
      reader.refuse("optimizer.params.eps", eps, "must be 1e-8, which is computed");
    }
    const [beta1, beta2] = take(section, "betas") as number[] | undefined ?? [];
    return { lr: take(section, "lr"), weightDecay: take(section, "weight_decay"), beta1, beta2 };
  },
  scheduler: (value, reader) => {
    const { type, params = {} } = reader.section("scheduler", value), name = "scheduler.params";
    if (type !== "WarmupCosineLR") {
      reader.refuse("scheduler.type", type, 'is not computed here; use "WarmupCosineLR"');
    }
    const section = reader.section(name, params), { warmup_type: warmupType = "log" } = section;
    const known = ["total_num_steps", "warmup_num_steps", "warmup_min_ratio", "cos_min_ratio", "warmup_type"];
    reader.only(name, section, known);
    if (warmupType !== "linear") {
      reader.refuse(`${name}.warmup_type`, warmupType, 'must be "linear", which is computed');
    }
    const least = section.warmup_min_ratio ?? 0;
    if (least !== 0) reader.refuse(`${name}.warmup_min_ratio`, least, "must be 0");
    const steps = take(section, "total_num_steps"), warmup = take(section, "warmup_num_steps");
    return { steps, warmup, minLrRatio: take(section, "cos_min_ratio") ?? 1e-4 };
  },
};
