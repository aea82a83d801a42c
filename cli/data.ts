import { prepareTokens } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";
import { textTokenizer } from "../train/mod.ts";
import { parseArguments } from "./arguments.ts";

const HELP = `Turns a text into tokens once, for many runs.

Usage: data prepare FILE --tokenizer DIR --out NAME [OPTIONS]

  --tokenizer DIR   the directory of a tokenizer, or of a model that has one
  --out NAME        NAME.bin gets the tokens, NAME.json says of which text and which tokenizer they are
  --json            print NAME.json`;

/** The command `data`. */
export async function prepareData(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["tokenizer", "out"],
    flags: ["json"],
    positionals: ["prepare", "FILE"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [verb, file] = positionals, { tokenizer: path, out } = options;
  if (verb !== "prepare") throw new UsageError(`Cannot run data ${verb ?? ""}: it is data prepare FILE`);
  if (file === undefined) throw new UsageError("Cannot prepare without a text: give its FILE");
  if (typeof path !== "string") {
    throw new UsageError("Cannot prepare without --tokenizer DIR: say what makes tokens");
  }
  if (typeof out !== "string") throw new UsageError("Cannot prepare without --out NAME: say where tokens go");
  const tokenizer = await textTokenizer({}, { tokenizer: path, vocab: undefined });
  const manifest = await prepareTokens({ file, tokenizer, out }), { tokens, dtype, text } = manifest;
  if (options.json) console.log(JSON.stringify(manifest));
  else {
    const perToken = (text.bytes / tokens).toFixed(2), count = tokens.toLocaleString("en-US");
    console.log(
      `wrote ${out.replace(/\.bin$/, "")}.bin: ${count} tokens of ${dtype}, ${perToken} bytes each`,
    );
  }
  return 0;
}
