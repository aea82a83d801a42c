import {
  ByteText,
  describeOptions,
  encodeRecord,
  generate,
  MetricsLog,
  type PreparedTraining,
  prepareTraining,
  startTraining,
  type TrainConfig,
  type Training,
  type TrainResult,
} from "../train/mod.ts";
import { Display } from "./display.ts";
import { writeOut } from "./output.ts";
import { stopRequests } from "./signals.ts";
import { parseTrainOptions } from "./train_options.ts";

/** Folder of checkpoints unless --out says otherwise. */
const DEFAULT_OUT = "out";
const SAMPLE = { prompt: "It was ", numTokens: 400, temperature: 0.5, topK: 40 };

const HELP = `Trains a GPT over all cores; without DATA on Moby Dick.

Usage: train [DATA] [OPTIONS]              DATA: a text file, or tokens (.bin)

${describeOptions()}

Checkpoints go to DIR/step-N (Hugging Face GPT-2 directories). Ctrl-C saves one and stops.`;

/** The command `train`. */
export async function trainModel(args: string[]): Promise<number> {
  const options = parseTrainOptions(args);
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  const prepared = await prepareTraining({ ...options, out: options.out ?? DEFAULT_OUT });
  return await show(prepared);
}

/** Runs a prepared training and shows it: JSON lines, a live view, or plain lines. */
async function show(prepared: PreparedTraining): Promise<number> {
  const { config, start } = prepared.job;
  using log = config.log === undefined ? undefined : new MetricsLog(config.log, { append: start.step > 0 });
  const training = await startTraining(prepared);
  using display = config.json ? undefined : new Display(prepared);
  const result = await watch(training, { display, log });
  display?.close(result, (checkpoint) => `deno task train --resume ${checkpoint}`);
  if (canWrite(config) && !stopRequests.isStopping) await writeSample(result.checkpoint!, config.seed);
  return 0;
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
  display?.open();
  for await (const event of training.events()) {
    if (event.type === "notice" && json) console.error(event.message);
    if (event.type !== "checkpoint" && event.type !== "notice") {
      log?.write(event);
      if (json) console.log(encodeRecord(event));
    }
    display?.show(event);
  }
  return await training.result;
}

/** Whether people read what the run prints, and the model writes bytes. */
function canWrite({ json, vocab }: TrainConfig): boolean {
  return !json && vocab === 256;
}

/** What the trained model writes, token by token. */
async function writeSample(checkpoint: string, seed: number): Promise<void> {
  const text = new ByteText();
  writeOut(`\nA sample:\n${SAMPLE.prompt}`);
  for await (const token of generate(checkpoint, { ...SAMPLE, seed })) writeOut(text.next(token));
  writeOut(`${text.end()}\n\nmore with: deno task generate ${checkpoint} --prompt "Call me "\n`);
}
