import { findModel } from "../checkpoint/mod.ts";
import { readText, UsageError } from "../files/mod.ts";
import { WEIGHT_FORMATS } from "../kernels/mod.ts";
import {
  chatPrompt,
  type EngineOptions,
  generateAll,
  resolveSample,
  SAMPLE_OPTIONS,
  type SampleChoice,
  TextStream,
  tokenizerOf,
} from "../serve/mod.ts";
import type { Tokenizer } from "../tokenizers/mod.ts";
import { flagOf } from "../train/mod.ts";
import { type Arguments, chooseOption, parseArguments, parseNumber, sizeOption } from "./arguments.ts";
import { writeBatch } from "./generate_batch.ts";
import { writeOut } from "./output.ts";

const HELP = `Goes on writing a prompt with a trained model, token by token.

Usage: generate DIR --prompt TEXT | --prompt-ids N,N,... | --prompts FILE | --batch FILE [OPTIONS]
       DIR: a checkpoint, a folder of runs, a Hugging Face directory, or a GGUF file

  --prompt TEXT      text to go on from; also behind --: generate DIR -- TEXT
  --prompt-ids N,N   in its place ids of tokens, for any model; without a tokenizer ids are printed
  --prompts FILE     in its place a file with a prompt in each line; what is written is a line for each
  --batch FILE       in its place JSON lines, all at a time: {"id": "a", "prompt": TEXT, or "promptIds": [N], and
                     "tokens", "temperature", "seed", "stop", "logprobs": true, "logitBias": {"50": -1}, ...};
                     a JSON line for each as it ends
  --tp N, --pp N, --ep N   devices that share every layer, stages, devices that share the experts [1]
  --dp N             replicas, which take prompts from one queue [1]
  --weights FORMAT   what weights are computed with: f32, bf16, q8_0, q4_0 [f32; as a GGUF file has them]
  --device-memory SIZE   most memory of a device, such as 512MiB [4GiB]
  --numerics MODE    exact = the same bits on every layout [fast]
  --max-sequences N  texts at a time of a replica at most [32]
  --prefill-chunk N  tokens of a prompt that are read at a time; changes no answer [64]
  --chat             the prompt is a question, asked by the model's chat template
  --system TEXT      with --chat: what the model is told first
  --adapter DIR      of the model, in the form of PEFT's
  --tokens N         tokens to write at most; a token that ends a text ends it [200]
  --stop TEXT        ends the text before this one comes
  --ignore-eos       go on after a token that ends a text
  --temperature X    below 1 safer, above 1 wilder; 0 always takes the likeliest token [0.8]
  --top-k N          choose among the N likeliest tokens; 0 = all [0]
  --top-p X          choose among the likeliest tokens that have this share of the probability; 1 = all [1]
  --min-p X          leave out tokens less likely than this share of the likeliest one [0]
  --repetition-penalty X   above 1 tokens that the text has come again less often [1]
  --presence-penalty X, --frequency-penalty X   above 0 tokens that were written come again less often [0]
  --seed N           of the choice [1337]
  --json             print one JSON line for a prompt: prompt, text and tokens`;

type Prompt = string | number[];

/** Options with a value, beside those of the engine and of sampling. */
const OPTIONS = ["prompt", "prompt-ids", "ids", "prompts", "batch", "stop", "system"];
/** Devices along each axis, and replicas. */
const LAYOUT = ["tp", "pp", "ep", "dp"] as const;
/** Options of the engine, with a value each. */
export const ENGINE_OPTIONS = [
  ...[...LAYOUT, "adapter", "max-sequences", "prefill-chunk", "numerics", "weights", "device-memory"],
];

/** The command `generate`. */
export async function generateText(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: [...OPTIONS, ...ENGINE_OPTIONS, ...SAMPLE_OPTIONS.map(nameOf)],
    flags: ["ignore-eos", "json", "chat"],
    positionals: ["DIR", "TEXT"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [path, text] = positionals;
  if (typeof options.batch === "string") return await answerBatch(path, text, options);
  const prompts = await promptsOf(path, text, options);
  const settings = { ...choiceOf(options), ...engineOptionsOf(options) };
  const model = await chooseModel(path!), tokenizer = await openFor(prompts, model);
  const isChat = options.chat === true;
  if (!isChat && options.system !== undefined) {
    throw new UsageError("Cannot use --system without --chat: give both");
  }
  const isJson = options.json === true, stops = typeof options.stop === "string" ? [options.stop] : [];
  const writers = prompts.map((prompt) => new PromptWriter(prompt, { tokenizer, stops, isJson, isChat }));
  const asked = isChat
    ? await Promise.all(prompts.map((prompt) => ask(model, prompt, options.system)))
    : prompts;
  let current = 0;
  for await (const { prompt, token } of generateAll(model, asked, settings)) {
    while (current < prompt) writers[current++].end();
    writers[prompt].write(token);
    if (prompts.length === 1 && writers[0].isEnded) break;
  }
  while (current < writers.length) writers[current++].end();
  return 0;
}

/** What the options say of the engine. */
export function engineOptionsOf(options: Arguments["options"]): EngineOptions {
  const count = (name: string) => {
    const value = options[name];
    return value === undefined ? undefined : parseNumber(name, value as string, { min: 1, isInteger: true });
  };
  return {
    ...{ adapter: options.adapter as string | undefined, ignoreEos: options["ignore-eos"] === true },
    ...{ maxSequences: count("max-sequences"), prefillChunk: count("prefill-chunk") },
    ...Object.fromEntries(LAYOUT.map((axis) => [axis, count(axis)])),
    deviceMemoryBytes: sizeOption({ options }, "device-memory", 1),
    numerics: chooseOption("numerics", options.numerics, NUMERICS) ?? "fast",
    weights: chooseOption("weights", options.weights, ["f32", ...WEIGHT_FORMATS]),
  };
}

/** What the options say of the choice of tokens. */
function choiceOf(options: Arguments["options"]): SampleChoice {
  return resolveSample(Object.fromEntries(SAMPLE_OPTIONS.map((spec) => [spec.name, options[nameOf(spec)]])));
}

const NUMERICS = ["fast", "exact"] as const;

/** Options that say another prompt, or how one is shown. */
const SINGLE = ["prompt", "prompt-ids", "ids", "prompts", "chat", "system", "stop"];

async function answerBatch(
  path: string | undefined,
  text: string | undefined,
  options: Arguments["options"],
): Promise<number> {
  const other = text !== undefined ? "the text" : SINGLE.find((name) => options[name] !== undefined);
  if (other !== undefined) {
    const name = text === undefined ? `--${other}` : other;
    throw new UsageError(`Cannot use both ${name} and --batch: the lines of the file say it; give one`);
  }
  if (path === undefined) {
    throw new UsageError("Cannot generate without a model: give the DIR of a checkpoint");
  }
  const model = await chooseModel(path);
  await writeBatch({
    ...{ model, path: options.batch as string, choice: choiceOf(options) },
    ...{ tokenizer: await openFor([[]], model), ...engineOptionsOf(options) },
  });
  return 0;
}

async function ask(model: string, prompt: Prompt, system: string | boolean | undefined): Promise<number[]> {
  if (typeof prompt !== "string") {
    throw new UsageError("Cannot use --chat with --prompt-ids: give a question as --prompt");
  }
  return await chatPrompt(model, prompt, system as string | undefined);
}

/** The tokenizer of a model; ids of tokens need none. */
async function openFor(prompts: readonly Prompt[], model: string): Promise<Tokenizer | undefined> {
  try {
    return await tokenizerOf(model);
  } catch (error) {
    if (error instanceof UsageError && prompts.every((prompt) => typeof prompt !== "string")) {
      return undefined;
    }
    throw error;
  }
}

/** The name of an option on the command line. */
function nameOf({ key }: { readonly key: string }): string {
  return flagOf(key).slice("--".length);
}

/** The directory that a path means; says so on standard error if it is another one. */
export async function chooseModel(path: string): Promise<string> {
  const folder = await findModel(path);
  if (folder !== path.replace(/\/+$/, "")) console.error(`using ${folder}`);
  return folder;
}

async function promptsOf(
  path: string | undefined,
  text: string | undefined,
  options: Arguments["options"],
): Promise<Prompt[]> {
  if (path === undefined) {
    throw new UsageError("Cannot generate without a model: give the DIR of a checkpoint");
  }
  const { prompt, prompts } = options, promptIds = options["prompt-ids"] ?? options.ids;
  const given = Object.entries({
    "--prompt": prompt,
    "the text": text,
    "--prompt-ids": promptIds,
    "--prompts": prompts,
  })
    .filter(([, value]) => value !== undefined).map(([name]) => name);
  if (given.length > 1) throw new UsageError(`Cannot use both ${given[0]} and ${given[1]}: give one`);
  if (typeof prompts === "string") {
    const lines = (await readText(prompts)).split(/\r?\n/).filter((line) => line !== "");
    if (lines.length === 0) throw new UsageError(`Cannot use --prompts ${prompts}: it has no line`);
    return lines;
  }
  const written = text ?? prompt;
  if (typeof written === "string") return [written];
  if (typeof promptIds !== "string") {
    throw new UsageError("Cannot generate without --prompt TEXT, or --prompt-ids N,N,... for any model");
  }
  return [promptIds.split(",").map((id) => parseNumber("prompt-ids", id, { min: 0, isInteger: true }))];
}

/** How what is written is shown. */
interface PromptWriterOptions {
  /** Undefined if nothing says what ids mean. */
  readonly tokenizer: Tokenizer | undefined;
  readonly stops: readonly string[];
  readonly isJson: boolean;
  /** An answer stands alone; what goes on from a text stands behind it. */
  readonly isChat: boolean;
}

/** Prints what goes on from a prompt, as it comes: as text, if the model has a tokenizer. */
class PromptWriter {
  readonly #prompt: Prompt;
  readonly #isJson: boolean;
  readonly #isChat: boolean;
  readonly #text: TextStream | undefined;
  readonly #tokens: number[] = [];
  #complete = "";
  #isBegun = false;

  constructor(prompt: Prompt, { tokenizer, stops, isJson, isChat }: PromptWriterOptions) {
    this.#prompt = prompt;
    this.#isJson = isJson;
    this.#isChat = isChat;
    this.#text = tokenizer && new TextStream(tokenizer, stops);
  }

  get isEnded(): boolean {
    return this.#text?.isEnded ?? false;
  }

  /** Ids go on with ids, a text with text. */
  get #showsText(): boolean {
    return typeof this.#prompt === "string";
  }

  write(token: number): void {
    if (this.isEnded) return;
    this.#begin();
    this.#tokens.push(token);
    this.#take(this.#text?.next(token) ?? "");
    if (!this.#isJson && !this.#showsText) writeOut(`,${token}`);
  }

  end(): void {
    this.#begin();
    this.#take(this.#text?.end() ?? "");
    if (!this.#isJson) return writeOut("\n");
    const text = this.#text === undefined ? {} : { text: this.#complete };
    console.log(JSON.stringify({ prompt: this.#prompt, ...text, tokens: this.#tokens }));
  }

  #begin(): void {
    if (!this.#isJson && !this.#isBegun && !this.#isChat) writeOut(this.#prompt.toString());
    this.#isBegun = true;
  }

  #take(part: string): void {
    this.#complete += part;
    if (!this.#isJson && this.#showsText) writeOut(part);
  }
}
