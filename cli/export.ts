import { formatBytes } from "../kernels/mod.ts";
import { exportDirectory, exportOnnx } from "../export/mod.ts";
import { UsageError } from "../files/mod.ts";
import { parseArguments, sizeOption } from "./arguments.ts";
import { chooseModel } from "./generate.ts";

const HELP = `Writes a trained model as an ONNX model, for any onnxruntime.

Usage: export DIR --onnx OUT [OPTIONS]      DIR: a checkpoint, a folder of runs, or a Hugging Face directory

  --onnx OUT              NAME.onnx: the model alone; else a folder that transformers.js and optimum load
  --kv-cache              inputs and outputs for cached keys and values: each run reads only new tokens
  --external-above SIZE   larger weights go to a file beside it [2GB, the limit of the format]
  --json                  print one JSON line that says what was written`;

/** The command `export`. */
export async function exportModel(args: string[]): Promise<number> {
  const parsed = parseArguments(args, {
    values: ["onnx", "external-above"],
    flags: ["kv-cache", "json"],
    positionals: ["DIR"],
  });
  const { options, positionals, isHelp } = parsed;
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder] = positionals, { onnx: file } = options;
  if (folder === undefined) {
    throw new UsageError("Cannot export without a model: give the DIR of a checkpoint");
  }
  if (typeof file !== "string") {
    throw new UsageError("Cannot export without --onnx OUT: say where the model goes");
  }
  const externalAbove = sizeOption(parsed, "external-above");
  const model = await chooseModel(folder), kvCache = options["kv-cache"] === true;
  const written = file.endsWith(".onnx")
    ? await exportOnnx(model, file, { kvCache, externalAbove })
    : await exportDirectory(model, file, { externalAbove });
  if (options.json) {
    console.log(JSON.stringify(written));
    return 0;
  }
  const { opset, irVersion, inputs, outputs, dataFile, weightBytes } = written;
  console.log(
    `wrote ${written.file}: ONNX opset ${opset}, IR version ${irVersion}, weights of ${
      formatBytes(weightBytes)
    }`,
  );
  if (dataFile !== undefined) console.log(`weights are in ${dataFile}; keep it beside the model`);
  console.log(`inputs ${brief(inputs)}; outputs ${brief(outputs)}`);
  return 0;
}

/** The first names, and how many there are. */
function brief(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")}, ... (${names.length})`;
}
