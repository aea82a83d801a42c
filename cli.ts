/**
 * The command line: `train`, `generate`, `merge`, `export`, `bench`, `plan`, `topology`, `schedule`, `doctor`.
 *
 * @module
 */
import { bench } from "./cli/bench.ts";
import { workOnData } from "./cli/data.ts";
import { evaluateData } from "./cli/evaluate.ts";
import { learnTokenizer } from "./cli/tokenizer.ts";
import { doctor } from "./cli/doctor.ts";
import { enterUserFolder } from "./cli/environment.ts";
import { exportModel } from "./cli/export.ts";
import { generateText } from "./cli/generate.ts";
import { guardConsole } from "./cli/output.ts";
import { mergeModel } from "./cli/merge.ts";
import { plan } from "./cli/plan.ts";
import { prune } from "./cli/prune.ts";
import { quantiseModel } from "./cli/quantise.ts";
import { schedule } from "./cli/schedule.ts";
import { listenToSignals } from "./cli/signals.ts";
import { topology } from "./cli/topology.ts";
import { trainModel } from "./cli/train.ts";
import { UsageError } from "./files/mod.ts";
import { unknownOption } from "./train/mod.ts";

const HELP = `Tessera trains and runs transformer models on many worker actors.

Usage: deno task COMMAND [ARGUMENTS]       (or: deno run -A cli.ts COMMAND [ARGUMENTS])

Commands
  train [DATA]      train a GPT on a text, on Moby Dick without one
  generate DIR      go on writing a prompt with a trained model
  merge DIR         write a model with an adapter in its weights
  tokenizer train   learn a vocabulary from a text
  data prepare|show turn a text into tokens once; show what is trained
  evaluate DIR      say the loss of a model on a text or on tokens
  export DIR        write a trained model as an ONNX model, or as a GGUF file
  quantise DIR      write a model with its weights in 8 or 4 bits
  prune DIR         write a model with the smallest weights or heads left out
  bench WHAT        measure matmul, collectives or a training step
  plan [DATA]       say what each device of a training would hold and move
  topology          draw how ranks form a mesh
  schedule          draw and check a pipeline schedule
  doctor            say what this machine offers and what will be used of it

COMMAND --help lists the options of a command. --debug shows stack traces.`;

const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  train: trainModel,
  generate: generateText,
  bench,
  merge: mergeModel,
  tokenizer: learnTokenizer,
  data: workOnData,
  evaluate: evaluateData,
  export: exportModel,
  quantise: quantiseModel,
  prune,
  plan,
  topology,
  schedule,
  doctor,
};

/** Runs a command line; returns the exit code: 0, 1 for a failure during the run, 2 for bad input. */
export async function main(args: readonly string[]): Promise<number> {
  const isDebugging = args.includes("--debug"), [name, ...rest] = args.filter((arg) => arg !== "--debug");
  try {
    if (name === undefined || name === "--help" || name === "-h" || name === "help") {
      console.log(HELP);
      return name === undefined ? 2 : 0;
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw unknownCommand(name);
    return await command(rest);
  } catch (error) {
    const isError = error instanceof Error;
    console.error(isDebugging && isError ? error : `error: ${isError ? error.message : error}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function unknownCommand(name: string): UsageError {
  if (name.startsWith("-")) return unknownOption(name, ["--help"]);
  return new UsageError(`Cannot run ${name}: commands are ${Object.keys(COMMANDS).join(", ")}; see --help`);
}

if (import.meta.main) {
  listenToSignals();
  guardConsole();
  enterUserFolder();
  Deno.exit(await main(Deno.args));
}
