import { formatBytes } from "../kernels/mod.ts";
import { exportDirectory, exportGguf, exportOnnx, GGUF_TYPES, type WrittenGguf } from "../export/mod.ts";
import { UsageError } from "../files/mod.ts";
import { type Arguments, chooseOption, parseArguments, sizeOption } from "./arguments.ts";
import { chooseModel } from "./generate.ts";

const HELP = `Writes a trained model for other runtimes: as an ONNX model, or as a GGUF file of llama.cpp.

Usage: export DIR --onnx OUT | --gguf FILE [OPTIONS]
       DIR: a checkpoint, a folder of runs, a Hugging Face directory, or a GGUF file

  --onnx OUT              NAME.onnx: the model alone; else a folder that transformers.js and optimum load
  --kv-cache              inputs and outputs for cached keys and values: each run reads only new tokens
  --external-above SIZE   larger weights go to a file beside it [2GB, the limit of the format]
  --gguf FILE             NAME.gguf, for llama.cpp: Llama, Mistral, Mixtral, Qwen2, Qwen3 and Qwen3 MoE
  --type TYPE             with --gguf: type of the weights: f32, bf16, q8_0, q4_0 [f32]
  --json                  print one JSON line that says what was written`;

/** The command `export`. */
export async function exportModel(args: string[]): Promise<number> {
  const parsed = parseArguments(args, {
    values: ["onnx", "external-above", "gguf", "type"],
    flags: ["kv-cache", "json"],
    positionals: ["DIR"],
  });
  const { options, positionals, isHelp } = parsed;
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [folder] = positionals, { onnx: file, gguf } = options;
  if (folder === undefined) {
    throw new UsageError("Cannot export without a model: give the DIR of a checkpoint");
  }
  if (typeof gguf === "string") {
    if (file !== undefined) throw new UsageError("Cannot use both --onnx and --gguf: give one");
    return await writeGguf(folder, gguf, options);
  }
  if (options.type !== undefined) throw new UsageError("Cannot use --type without --gguf: give both");
  if (typeof file !== "string") {
    throw new UsageError("Cannot export without --onnx OUT or --gguf FILE: say where the model goes");
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

async function writeGguf(folder: string, file: string, options: Arguments["options"]): Promise<number> {
  if (!file.endsWith(".gguf")) {
    throw new UsageError(`Cannot use --gguf ${file}: it must end with .gguf, by which programs know it`);
  }
  const type = chooseOption("type", options.type, GGUF_TYPES) ?? "f32";
  const written = await exportGguf(await chooseModel(folder), file, type);
  if (options.json) console.log(JSON.stringify(written));
  else console.log(describeGguf(written));
  return 0;
}

/** What was written, in lines. */
export function describeGguf({ file, type, tensors, bytes, problem }: WrittenGguf): string {
  const note = problem === undefined ? [] : [problem];
  return [`wrote ${file}: ${tensors} tensors, weights in ${type}, ${formatBytes(bytes)}`, ...note].join("\n");
}

/** The first names, and how many there are. */
function brief(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")}, ... (${names.length})`;
}
