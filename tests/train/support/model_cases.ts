/** Directories as other tools leave them, made of one small GPT-2. */
import { readSafetensors, type TensorToWrite, writeSafetensors } from "../../../files/mod.ts";

/** A GPT-2 of 2 layers, 16 wide, as Hugging Face writes it: with dropout rates and end of text in its config. */
export const BASE = new URL("../../cases/models/base", import.meta.url).pathname;
/** The likeliest continuation of "Hello", by an independent float64 implementation. */
export const CONTINUATION = [138, 179, 179, 179, 179, 212, 212, 212, 212, 212, 212];

/** What a variant of the model has in its place. */
export interface Variant {
  /** Fields that replace those of `config.json`. */
  readonly config?: Record<string, unknown>;
  /** Tensors in place of one; by default itself. */
  readonly tensors?: (tensor: TensorToWrite) => TensorToWrite[];
  /** Files beside it, by name. */
  readonly files?: Record<string, string>;
}

/** Writes a variant of the model to a new folder. */
export async function writeVariant(
  folder: string,
  { config, tensors, files = {} }: Variant,
): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const fields = JSON.parse(await Deno.readTextFile(`${BASE}/config.json`));
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...fields, ...config }));
  const base = [...await readSafetensors(`${BASE}/model.safetensors`)].map(([name, x]) => ({ name, ...x }));
  await writeSafetensors(`${folder}/model.safetensors`, base.flatMap(tensors ?? ((tensor) => [tensor])));
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
  return folder;
}
