import { mergeAdapter } from "../export/mod.ts";
import { UsageError } from "../files/mod.ts";
import { parseArguments, sizeOption } from "./arguments.ts";
import { chooseModel } from "./generate.ts";

const HELP = `Writes a model with an adapter in its weights; the model itself stays as it is.

Usage: merge DIR --adapter A --out B [OPTIONS]      DIR: a Hugging Face directory, a checkpoint, or a folder of runs

  --adapter DIR   the adapter: a checkpoint of train --lora-rank, or a directory of PEFT's
  --out DIR       where the merged model goes; must not be there
  --shard-size S  weights in files of at most this size, such as 5GiB; without it in one
  --json          print one JSON line that says what was merged`;

/** The command `merge`. */
export async function mergeModel(args: string[]): Promise<number> {
  const parsed = parseArguments(args, {
    values: ["adapter", "out", "shard-size"],
    flags: ["json"],
    positionals: ["DIR"],
  });
  const { options, positionals, isHelp } = parsed;
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder] = positionals, { adapter, out } = options;
  if (folder === undefined) throw new UsageError("Cannot merge without a model: give its DIR");
  if (typeof adapter !== "string") throw new UsageError("Cannot merge without --adapter DIR: say which");
  if (typeof out !== "string") {
    throw new UsageError("Cannot merge without --out DIR: say where the model goes");
  }
  const found = await chooseModel(adapter), shardBytes = sizeOption(parsed, "shard-size", 1);
  const written = await mergeAdapter({ base: folder, adapter: found, out, shardBytes });
  if (options.json) console.log(JSON.stringify({ out, ...written }));
  else console.log(`wrote ${out}: ${written.layers} layers of ${found} are in its weights`);
  return 0;
}
