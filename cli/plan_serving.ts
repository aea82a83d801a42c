import { UsageError } from "../files/mod.ts";
import { formatBytes, formatTable, sumTable } from "../kernels/mod.ts";
import { planServing, type ServingPlan } from "../serve/mod.ts";
import { parseArguments } from "./arguments.ts";
import { chooseModel, ENGINE_OPTIONS, engineOptionsOf } from "./generate.ts";

const HELP = `Says what serving a model takes, and how many tokens its cache has room for; starts nothing.

Usage: plan --serve DIR [OPTIONS]          DIR: a checkpoint, a folder of runs, a Hugging Face directory, or a GGUF file

  --weights FORMAT         what weights are computed with: f32, bf16, q8_0, q4_0 [f32; as a GGUF file has them]
  --tp N, --pp N, --ep N   devices that share every layer, stages, devices that share the experts [1]
  --max-sequences N        texts at a time at most [32]
  --prefill-chunk N        tokens of a prompt that are read at a time [64]
  --device-memory SIZE     most memory of a device, such as 512MiB [4GiB]
  --json                   print one JSON line`;

/** The command `plan --serve`; exit code 1 if not one text of the longest fits. */
export async function planServe(args: string[]): Promise<number> {
  const { options, isHelp } = parseArguments(args, {
    values: [...ENGINE_OPTIONS, "serve"],
    flags: ["json"],
    positionals: [],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  if (typeof options.serve !== "string") {
    throw new UsageError("Cannot plan without a model: give --serve DIR");
  }
  const plan = await planServing(await chooseModel(options.serve), engineOptionsOf(options));
  console.log(options.json === true ? JSON.stringify(plan) : describe(plan));
  return plan.tokensThatFit >= plan.context ? 0 : 1;
}

function describe(plan: ServingPlan): string {
  const { weights, devices, bytes, cacheBytesPerToken, deviceMemoryBytes, tokensThatFit, context } = plan;
  const tokens = tokensThatFit.toLocaleString("en-US"), texts = Math.floor(tokensThatFit / context);
  return [
    `weights in ${weights} on ${devices} ${devices === 1 ? "device" : "devices"}: ${
      formatBytes(sumTable(bytes))
    } on the ` +
    `largest (${formatTable(bytes)})`,
    `a token in the cache: ${formatBytes(cacheBytesPerToken)}`,
    `in ${formatBytes(deviceMemoryBytes)} a device: ${tokens} tokens, or ${texts} texts of ${context}`,
  ].join("\n");
}
