import { BLOCK_FORMATS, UsageError } from "../files/mod.ts";
import { exportGguf } from "../export/mod.ts";
import { chooseOption, parseArguments } from "./arguments.ts";
import { describeGguf } from "./export.ts";
import { chooseModel } from "./generate.ts";

const FILE = "model.gguf";

const HELP =
  `Writes a model with its weights in fewer bytes: as a GGUF file, which generate and llama.cpp read.

Usage: quantise DIR --to FORMAT --out OUT
       DIR: a checkpoint, a folder of runs, a Hugging Face directory, or a GGUF file

  --to FORMAT   q8_0 (8.5 bits for a weight) or q4_0 (4.5 bits; the vocabulary stays in q8_0)
  --out OUT     NAME.gguf, or a folder for ${FILE}
  --json        print one JSON line that says what was written`;

/** The command `quantise`. */
export async function quantiseModel(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["to", "out"],
    flags: ["json"],
    positionals: ["DIR"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder] = positionals, { out } = options, format = chooseOption("to", options.to, BLOCK_FORMATS);
  if (folder === undefined) {
    throw new UsageError("Cannot quantise without a model: give the DIR of a checkpoint");
  }
  if (format === undefined) {
    throw new UsageError(`Cannot quantise without --to: known are ${BLOCK_FORMATS.join(", ")}`);
  }
  if (typeof out !== "string") {
    throw new UsageError("Cannot quantise without --out: say where the model goes");
  }
  const model = await chooseModel(folder), isFile = out.endsWith(".gguf");
  if (!isFile) await Deno.mkdir(out, { recursive: true });
  const written = await exportGguf(model, isFile ? out : `${out}/${FILE}`, format);
  if (options.json) console.log(JSON.stringify(written));
  else console.log(describeGguf(written));
  return 0;
}
