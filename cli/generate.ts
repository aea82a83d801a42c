import { ByteText, generate, resolveSample, UsageError } from "../train/mod.ts";
import { parseArguments } from "./arguments.ts";
import { writeOut } from "./output.ts";

const HELP = `Goes on writing a prompt with a trained model, token by token.

Usage: generate DIR --prompt TEXT [OPTIONS]     DIR: a checkpoint, or a Hugging Face GPT-2 directory

  --prompt TEXT      text to go on from; also behind --: generate DIR -- TEXT
  --tokens N         tokens to write [200]
  --temperature X    below 1 safer, above 1 wilder; 0 always takes the likeliest token [0.8]
  --top-k N          choose among the N likeliest tokens; 0 = all [0]
  --seed N           of the choice [1337]
  --json             print one JSON line: prompt, text and tokens`;

/** The command `generate`. */
export async function generateText(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["prompt", "tokens", "temperature", "top-k", "seed"],
    flags: ["json"],
    positionals: ["DIR", "TEXT"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder, text] = positionals, { prompt = text } = options;
  if (folder === undefined) {
    throw new UsageError("Cannot generate without a model: give the DIR of a checkpoint");
  }
  if (typeof prompt !== "string") throw new UsageError("Cannot generate without --prompt TEXT");
  const tokens = generate(folder, {
    prompt,
    ...resolveSample({ ...options, numTokens: options.tokens, topK: options["top-k"] }),
  });
  await write(tokens, prompt, options.json === true);
  return 0;
}

async function write(tokens: AsyncIterable<number>, prompt: string, isJson: boolean): Promise<void> {
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
  console.log(isJson ? JSON.stringify({ prompt, text: complete, tokens: written }) : text.end());
}
