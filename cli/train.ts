import {
  ByteText,
  describeOptions,
  encodeRecord,
  formatStages,
  generate,
  MetricsLog,
  type MetricsRecord,
  Painter,
  plainLine,
  type PreparedTraining,
  prepareTraining,
  renderFrame,
  startTraining,
  startView,
  type TrainEvent,
  type TrainJob,
  type TrainResult,
  updateView,
  type View,
  whyNoBytes,
} from "../train/mod.ts";
import { describeWasm, now } from "../kernels/mod.ts";
import { evaluateModel } from "./evaluate.ts";
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
  if ("eval-only" in options) return await evaluateModel(options);
  const prepared = await prepareTraining({ ...options, out: options.out ?? DEFAULT_OUT });
  return await show(prepared);
}

/** Runs a prepared training and shows it: JSON lines, a live view, or plain lines. */
async function show(prepared: PreparedTraining): Promise<number> {
  const { config, start } = prepared.job;
  using log = config.log === undefined ? undefined : new MetricsLog(config.log, { append: start.step > 0 });
  const training = await startTraining(prepared);
  using display = config.json ? undefined : new Display(prepared);
  const releaseSignals = stopOnSignals(() => {
    display?.notice("stopping after this step; Ctrl-C again to end at once");
    training.stop();
  });
  try {
    display?.open();
    for await (const event of training.events()) {
      if (event.type === "notice" && config.json) console.error(event.message);
      if (event.type !== "checkpoint" && event.type !== "notice") {
        log?.write(event);
        if (config.json) console.log(encodeRecord(event));
      }
      display?.show(event);
    }
    const result = await training.result;
    display?.close(result);
    if (canWrite(prepared.job) && !result.isStopped) {
      await writeSample(result.checkpoint!, config.seed);
    }
    return 0;
  } finally {
    releaseSignals();
  }
}

/** Whether people read what the run prints, and the model writes bytes. */
function canWrite({ config: { json, vocab }, companions }: TrainJob): boolean {
  return !json && vocab === 256 && (companions === undefined || whyNoBytes(companions, vocab) === undefined);
}

/** What the trained model writes, token by token. */
async function writeSample(checkpoint: string, seed: number): Promise<void> {
  const text = new ByteText(), encoder = new TextEncoder();
  const write = (part: string) => Deno.stdout.writeSync(encoder.encode(part));
  write(`\nA sample:\n${SAMPLE.prompt}`);
  for await (const token of generate(checkpoint, { ...SAMPLE, seed })) write(text.next(token));
  write(`${text.end()}\n\nmore with: deno task generate ${checkpoint} --prompt "Call me "\n`);
}

/** The first Ctrl-C (or SIGTERM) stops after the step and saves; a second one ends at once. */
function stopOnSignals(onFirst: () => void): () => void {
  let count = 0;
  const stop = () => {
    if (++count > 1) Deno.exit(130);
    onFirst();
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  return () => {
    for (const signal of signals) Deno.removeSignalListener(signal, stop);
  };
}

/** Which kernels run, and how they would be faster. */
function wasmLines(): string[] {
  const { line, advice } = describeWasm();
  return [`wasm kernels, ${line}`, ...(advice === undefined ? [] : [advice])];
}

/** What a person sees of a run: a live frame on a terminal, plain lines in a pipe. */
class Display {
  readonly #prepared: PreparedTraining;
  readonly #painter = Deno.stdout.isTerminal() ? new Painter() : undefined;
  #view: View;
  #checkpoint: string | undefined;

  constructor(prepared: PreparedTraining) {
    const { config, start } = prepared.job;
    this.#prepared = prepared;
    const title = `GPT ${config.layers} x ${config.embed}, ${prepared.mesh.size} device(s)`;
    const { steps, deviceMemoryBytes } = config;
    this.#view = startView({ title, steps, deviceMemoryBytes, hint: "Ctrl-C saves and stops" }, start.losses);
  }

  open(): void {
    const { job, plan, statement } = this.#prepared, { config, start } = job;
    const model =
      `GPT of ${config.layers} layers, ${config.heads} heads, ${config.embed} wide, context ${config.context}`;
    console.log(`${model}; ${this.#prepared.mesh.size} device(s)`);
    if (config.kernels === "wasm") { for (const line of wasmLines()) console.log(line); }
    else console.log(`${config.kernels} kernels`);
    if (plan.stages.length > 1) console.log(`layers by stage: ${formatStages(plan.stages)}`);
    console.log(statement);
    if (start.step > 0) console.log(`going on after ${start.step} steps`);
  }

  show(event: TrainEvent): void {
    if (event.type === "checkpoint") {
      this.#checkpoint = event.path;
      return;
    }
    if (event.type === "notice") return this.notice(event.message);
    this.#view = updateView(this.#view, event);
    if (this.#painter === undefined) this.#printPlain(event);
    else {this.#painter.paint((columns) =>
        renderFrame(this.#view, columns), event.type === "step" ? now() : Infinity);}
  }

  /** Prints a line that stays above the live frame. */
  notice(line: string): void {
    if (this.#painter === undefined) console.log(line);
    else this.#painter.print(line);
  }

  close(result: TrainResult): void {
    this.#painter?.close();
    const checkpoint = this.#checkpoint;
    if (result.isStopped) {
      console.log(`stopped after ${result.step} steps, saved ${checkpoint}`);
      console.log(`go on with: deno task train --resume ${checkpoint}`);
      return;
    }
    console.log(`saved ${checkpoint}`);
  }

  [Symbol.dispose](): void {
    this.#painter?.close();
  }

  #printPlain(record: MetricsRecord): void {
    const line = plainLine(this.#view, record);
    if (line !== undefined) console.log(line);
  }
}
