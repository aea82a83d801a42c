import { removeIfEmpty } from "../checkpoint/mod.ts";
import { MetricsLog } from "./metrics_log.ts";
import { generate, TextStream, tokenizerOf } from "../serve/mod.ts";
import {
  describeOptions,
  encodeRecord,
  type PreparedTraining,
  prepareTraining,
  startTraining,
  type Training,
  type TrainOptions,
  type TrainResult,
} from "../train/mod.ts";
import { Display } from "./display.ts";
import { evaluateModel } from "./evaluate.ts";
import { writeOut } from "./output.ts";
import { placeRun, quote, resumeCommand, RUNS } from "./run_place.ts";
import { stopRequests } from "./signals.ts";
import { parseTrainOptions } from "./train_options.ts";

const SAMPLE = { prompt: "It was ", numTokens: 400, temperature: 0.5, topK: 40 };

const HELP = `Trains a GPT over all cores; without DATA on Moby Dick.

Usage: train [DATA] [OPTIONS]              DATA: a text file, or tokens (.bin)

${describeOptions()}

Checkpoints go to DIR/step-N (Hugging Face GPT-2 directories); without --out every run has a new folder. Ctrl-C
saves one, stops, and prints the command that goes on.`;

/** The command `train`. */
export async function trainModel(args: string[]): Promise<number> {
  const options = parseTrainOptions(args);
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if ("eval-only" in options) return await evaluateModel(options);
  const prepared = await prepareTraining({ ...options, out: options.out ?? RUNS });
  try {
    return await show(prepared, options);
  } finally {
    if (options.out === undefined) await removeIfEmpty(RUNS);
  }
}

/** Runs a prepared training and shows it: JSON lines, a live view, or plain lines. */
async function show(checked: PreparedTraining, options: TrainOptions): Promise<number> {
  using log = openLog(checked);
  const { prepared, training } = await start(checked, options, log);
  const { config } = prepared.job;
  using display = config.json ? undefined : new Display(prepared);
  const result = await watch(training, { display, log });
  display?.close(result, (checkpoint) => resumeCommand(options, checkpoint));
  // People read a sample; only a model of a family can write one.
  const isShown = !config.json && prepared.familyName !== undefined;
  if (isShown && !stopRequests.isStopping) await writeSample(result.checkpoint!, config.seed);
  return 0;
}

function openLog({ job: { config, start } }: PreparedTraining): MetricsLog | undefined {
  if (config.log === undefined) return undefined;
  const resumedStep = start.folder === undefined ? undefined : start.step;
  return new MetricsLog(config.log, { resumedStep, overwrite: config.overwrite });
}

/** Starts a run in its place; one that cannot start leaves nothing behind. */
async function start(
  checked: PreparedTraining,
  options: TrainOptions,
  log: MetricsLog | undefined,
): Promise<{ prepared: PreparedTraining; training: Training }> {
  try {
    const prepared = await placeRun(checked, options), training = await startTraining(prepared);
    log?.begin();
    return { prepared, training };
  } catch (error) {
    log?.discard();
    throw error;
  }
}

/** Shows and records what a run reports until it ends; a signal ends it after the step that runs, and it is saved. */
async function watch(
  training: Training,
  { display, log }: { display: Display | undefined; log: MetricsLog | undefined },
): Promise<TrainResult> {
  const { json } = training.prepared.job.config;
  using _stops = stopRequests.handle({
    stop: () => {
      training.stop();
      display?.notice("stopping after this step; Ctrl-C again to end at once");
    },
    restore: () => display?.restore(),
  });
  const warn = (line: string) => display === undefined ? console.error(line) : display.notice(line);
  display?.open();
  for await (const event of training.events()) {
    if (event.type === "notice" && json) warn(event.message);
    if (event.type !== "checkpoint" && event.type !== "notice") {
      const problem = log?.write(event);
      if (problem !== undefined) warn(problem);
      if (json) console.log(encodeRecord(event));
    }
    display?.show(event);
  }
  return await training.result;
}

/** What the trained model writes, token by token. */
async function writeSample(checkpoint: string, seed: number): Promise<void> {
  // What is wrong with a tokenizer ends no run that has not needed one.
  const tokenizer = await tokenizerOf(checkpoint).catch(() => undefined);
  if (tokenizer === undefined) return;
  const text = new TextStream(tokenizer);
  writeOut(`\nA sample:\n${SAMPLE.prompt}`);
  for await (const token of generate(checkpoint, { ...SAMPLE, seed })) writeOut(text.next(token));
  writeOut(`${text.end()}\n\nmore with: deno task generate ${quote(checkpoint)} --prompt "Call me "\n`);
}
