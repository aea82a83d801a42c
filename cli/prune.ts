import { parseSparsity, pruneModel } from "../export/mod.ts";
import { UsageError } from "../files/mod.ts";
import { parseArguments } from "./arguments.ts";
import { chooseModel } from "./generate.ts";

const HELP =
  `Writes a model of which the smallest weights, or heads, are left out; the model itself stays as it is.

Usage: prune DIR --sparsity S --out B       DIR: a checkpoint, a folder of runs, a Hugging Face directory, or a GGUF file

  --sparsity S   0.5      that share of each weight of a layer becomes zero
                 2:4      two of every four neighbouring inputs become zero
                 heads:N  N heads of each layer are taken out: a smaller and faster model
  --out DIR      where the pruned model goes; must not be there
  --json         print one JSON line that says what was pruned

Zeros are computed and stored as other numbers are: a share and 2:4 make no model faster, only a packed file smaller.
train --init B --keep-zeros trains on without filling them.`;

/** The command `prune`. */
export async function prune(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["sparsity", "out"],
    flags: ["json"],
    positionals: ["DIR"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder] = positionals, { sparsity, out } = options;
  if (folder === undefined) {
    throw new UsageError("Cannot prune without a model: give the DIR of a checkpoint");
  }
  if (typeof sparsity !== "string") {
    throw new UsageError("Cannot prune without --sparsity: give 0.5, 2:4 or heads:N");
  }
  if (typeof out !== "string") {
    throw new UsageError("Cannot prune without --out DIR: say where the model goes");
  }
  const written = await pruneModel(await chooseModel(folder), out, parseSparsity(sparsity));
  const { parameters, before, zeros } = written, count = (n: number) => n.toLocaleString("en-US");
  if (options.json) console.log(JSON.stringify({ out, ...written }));
  else if (parameters < before) {
    console.log(`wrote ${out}: ${count(parameters)} of ${count(before)} parameters are left`);
  } else {
    console.log(
      `wrote ${out}: ${count(zeros)} of ${
        count(parameters)
      } parameters are zero; it is as large and as fast as before, ` +
        "packed it is smaller",
    );
  }
  return 0;
}
