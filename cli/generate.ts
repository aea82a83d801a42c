import { findModel } from "../checkpoint/mod.ts";
import { UsageError } from "../files/mod.ts";
import { ByteText, generate, resolveSample, SAMPLE_OPTIONS } from "../serve/mod.ts";
import { flagOf } from "../train/mod.ts";
import { type Arguments, parseArguments, parseNumber } from "./arguments.ts";
import { writeOut } from "./output.ts";

const HELP = `Goes on writing a prompt with a trained model, token by token.

Usage: generate DIR --prompt TEXT [OPTIONS]     DIR: a checkpoint, a folder of runs, or a Hugging Face GPT-2 directory

  --prompt TEXT      text to go on from, for a model of bytes; also behind --: generate DIR -- TEXT
  --ids N,N,...      in its place token ids to go on from, for any model; ids are printed
  --tokens N         tokens to write at most; a token that ends a text ends it [200]
  --adapter DIR      of the model, in the form of PEFT's
  --ignore-eos       go on after a token that ends a text
  --temperature X    below 1 safer, above 1 wilder; 0 always takes the likeliest token [0.8]
  --top-k N          choose among the N likeliest tokens; 0 = all [0]
  --top-p X          choose among the likeliest tokens that have this share of the probability; 1 = all [1]
  --min-p X          leave out tokens less likely than this share of the likeliest one [0]
  --repetition-penalty X   above 1 tokens that the text has come again less often [1]
  --seed N           of the choice [1337]
  --json             print one JSON line: prompt, text and tokens`;

/** The command `generate`. */
export async function generateText(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["prompt", "ids", "adapter", ...SAMPLE_OPTIONS.map(nameOf)],
    flags: ["ignore-eos", "json"],
    positionals: ["DIR", "TEXT"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [path, text] = positionals, prompt = promptOf(path, text, options);
  const settings = {
    prompt,
    ...resolveSample(Object.fromEntries(SAMPLE_OPTIONS.map((spec) => [spec.name, options[nameOf(spec)]]))),
    ignoreEos: options["ignore-eos"] === true,
    adapter: options.adapter as string | undefined,
  };
  const tokens = generate(await chooseModel(path), settings), isJson = options.json === true;
  if (typeof prompt === "string") await writeText(tokens, prompt, isJson);
  else await writeIds(tokens, prompt, isJson);
  return 0;
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

function promptOf(
  path: string | undefined,
  text: string | undefined,
  { prompt: option, ids }: Arguments["options"],
): string | number[] {
  if (path === undefined) {
    throw new UsageError("Cannot generate without a model: give the DIR of a checkpoint");
  }
  if (text !== undefined && option !== undefined) {
    throw new UsageError(`Cannot use both --prompt and the text ${JSON.stringify(text)}: give one`);
  }
  const prompt = text ?? option;
  if (prompt !== undefined && ids !== undefined) {
    throw new UsageError("Cannot use both --prompt and --ids: give one");
  }
  if (typeof prompt === "string") return prompt;
  if (typeof ids !== "string") {
    throw new UsageError("Cannot generate without --prompt TEXT, or --ids N,N,... for any model");
  }
  return ids.split(",").map((id) => parseNumber("ids", id, { min: 0, isInteger: true }));
}

async function writeText(tokens: AsyncIterable<number>, prompt: string, isJson: boolean): Promise<void> {
  const text = new ByteText(), written: number[] = [];
  let complete = "", isFirst = true;
  for await (const token of tokens) {
    const part = text.next(token);
    written.push(token);
    complete += part;
    if (!isJson) writeOut(isFirst ? prompt + part : part);
    isFirst = false;
  }
  complete += text.end();
  if (isJson) console.log(JSON.stringify({ prompt, text: complete, tokens: written }));
  else console.log((isFirst ? prompt : "") + text.end());
}

async function writeIds(
  tokens: AsyncIterable<number>,
  prompt: readonly number[],
  isJson: boolean,
): Promise<void> {
  const written: number[] = [];
  for await (const token of tokens) {
    const before = written.length === 0 ? `${prompt.join()},` : ",";
    written.push(token);
    if (!isJson) writeOut(`${before}${token}`);
  }
  if (isJson) console.log(JSON.stringify({ prompt, tokens: written }));
  else console.log(written.length === 0 ? prompt.join() : "");
}
