import { openDirectory, readCompanions } from "../checkpoint/mod.ts";
import { fileProblem, UsageError } from "../files/mod.ts";
import { type ExportedModel, exportOnnx, type ExportOptions } from "./export_onnx.ts";

/**
 * Writes the model of a directory of Hugging Face's form as the directory that transformers.js and optimum load:
 * `onnx/model.onnx` with cached keys and values, `config.json`, `generation_config.json`, and the files of its tokenizer.
 *
 * @param out Made if it is not there; files of these names are replaced.
 * @throws {UsageError} If a directory cannot be used, or the model has no ONNX form.
 */
export async function exportDirectory(
  folder: string,
  out: string,
  options: Pick<ExportOptions, "externalAbove"> = {},
): Promise<ExportedModel> {
  const { family, config, companions } = await openDirectory(folder);
  try {
    await Deno.mkdir(`${out}/onnx`, { recursive: true });
  } catch (error) {
    throw new UsageError(`Cannot write ${out}: ${fileProblem(error)}; choose another --onnx`);
  }
  const places = { kvCache: true, hasPlaces: true, externalSuffix: "_data" };
  const written = await exportOnnx(folder, `${out}/onnx/model.onnx`, { ...options, ...places });
  const { eos_token_id, bos_token_id, pad_token_id } = companions.config;
  const ids = Object.fromEntries(
    Object.entries({ bos_token_id, eos_token_id, pad_token_id }).filter(([, id]) => id !== undefined),
  );
  const external = written.dataFile === undefined ? {} : {
    "transformers.js_config": { use_external_data_format: { "model.onnx": 1 } },
  };
  const known = { ...ids, ...family.checkpoint.toConfig(config), ...external };
  await writeJson(`${out}/config.json`, known);
  await writeJson(`${out}/generation_config.json`, ids);
  for await (const [name, bytes] of readCompanions(companions)) await Deno.writeFile(`${out}/${name}`, bytes);
  return written;
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value, null, 2) + "\n");
}
