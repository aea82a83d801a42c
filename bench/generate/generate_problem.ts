/**
 * What all contestants of `bench generate` start from: a model of random weights, as a directory and as GGUF files.
 *
 * @module
 */
import { exportGguf } from "../../export/mod.ts";
import { writeSafetensors } from "../../files/mod.ts";
import { createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";
import { familyNamed } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";
import { type Format, MODEL } from "./generate_task.ts";

const WEIGHT_BYTES = 512 * 2 ** 20;

/** Writes the directory of the model. */
export async function writeModel(folder: string): Promise<void> {
  const heap = new DeviceHeap({ capBytes: WEIGHT_BYTES, memory: createDeviceMemory(WEIGHT_BYTES) });
  const family = familyNamed("llama")!,
    config = family.configure(MODEL),
    scope = Scope.of({ heap, seed: 1337 });
  family.layers(config).forEach((layer) => layer.build(scope));
  const tensors = scope.parameters.map(({ name, shape, span }) => ({
    name,
    shape,
    data: heap.f32(span) as Float32Array,
  }));
  await writeSafetensors(`${folder}/model.safetensors`, tensors);
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(family.checkpoint.toConfig(config)));
}

/** Writes the model as a GGUF file, and gives its path. */
export async function writeGgufOf(folder: string, format: Format): Promise<string> {
  const file = `${folder}/${format}.gguf`;
  await exportGguf(folder, file, format);
  return file;
}
