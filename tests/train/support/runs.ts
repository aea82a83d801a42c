import { gpt } from "../../../models/mod.ts";
import { RandomStream } from "../../../nn/mod.ts";
import { type Samples } from "../../../data/mod.ts";
import {
  prepareTraining,
  startTraining,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
} from "../../../train/mod.ts";
import { within } from "../../support/deadline.ts";
import { pool } from "../../support/pool.ts";
import type { ClassifierConfig } from "./classifier.ts";

/** What a run reported and how it ended. */
export interface Run {
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  readonly evals: readonly number[];
  /** Choices of full experts, by step; empty for a dense model. */
  readonly dropped: readonly number[];
  /** Peak bytes of every device, by step. */
  readonly peaks: readonly (readonly number[])[];
  readonly lossHash: string;
  readonly result: TrainResult;
}

/** Trains to the end; a run that hangs fails. */
export function runToEnd(options: TrainOptions): Promise<Run> {
  return within(run(options));
}

async function run(options: TrainOptions): Promise<Run> {
  const training = await startTraining(await prepareTraining({ pool, ...options })),
    events: TrainEvent[] = [];
  for await (const event of training.events()) events.push(event);
  const steps = events.filter((event) => event.type === "step"), last = events.at(-1)!;
  return {
    losses: steps.map(({ loss }) => loss),
    gradNorms: steps.map(({ gradNorm }) => gradNorm),
    evals: events.filter((event) => event.type === "eval").map(({ loss }) => loss),
    dropped: steps.map(({ droppedChoices }) => droppedChoices).filter((count) => count !== undefined),
    peaks: steps.map(({ devices }) => devices.map(({ peakBytes }) => peakBytes)),
    lossHash: last.type === "done" ? last.lossHash : "",
    result: await training.result,
  };
}

/** A GPT so small that a step takes less than a millisecond, on a text in `folder`. */
export async function tinyGpt(folder: string): Promise<TrainOptions> {
  const data = `${folder}/text.txt`;
  const words = ["the", "white", "whale", "and", "sea", "a", "boat", "sails"],
    stream = new RandomStream(1, "text");
  const text = Array.from({ length: 400 }, (_, i) => words[stream.below(i, words.length)]).join(" ");
  await Deno.writeTextFile(data, text);
  return {
    model: gpt({ layers: 1, heads: 2, embed: 8, context: 8 }),
    data,
    ...{ batch: 4, steps: 20, evalEvery: 0, deviceMemory: "16MiB" },
  };
}

/** The classifier on samples of `classes` clusters; `mask` hides the targets of some samples. */
export function tinyClassifier(
  config: ClassifierConfig,
  { numSamples = 64, mask = (_sample: number) => false }: {
    numSamples?: number;
    mask?: (sample: number) => boolean;
  } = {},
): TrainOptions {
  const stream = new RandomStream(2, "samples"), { inputs: width, classes } = config;
  const targets = Int32Array.from({ length: numSamples }, (_, i) => mask(i) ? -1 : i % classes);
  const inputs = Float32Array.from(
    { length: numSamples * width },
    (_, i) => stream.normal(i) * 0.3 + (i % width === Math.floor(i / width) % classes ? 1 : 0),
  );
  const data: Samples = { inputs, inputShape: [width], targets };
  return {
    model: import.meta.resolve("./classifier.ts"),
    modelConfig: config,
    data,
    ...{ batch: 8, steps: 10, lr: 0.01, warmup: 0, evalEvery: 0, deviceMemory: "16MiB" },
  };
}
