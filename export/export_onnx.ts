import {
  fileProblem,
  readTensors,
  storedLength,
  type TensorIndex,
  TensorReader,
  UsageError,
  writeAllSync,
} from "../files/mod.ts";
import { onnx } from "../kernels/mod.ts";
import type { ModelSizes } from "../models/mod.ts";
import { openDirectory, openWeights } from "../checkpoint/mod.ts";
import { lowerDecoder } from "./decoder_graph.ts";

/** How to export. */
export interface ExportOptions {
  /** Inputs and outputs for cached keys and values, so that a token costs one token; by default none. */
  readonly kvCache?: boolean;
  /** Inputs `attention_mask` and `position_ids`, for batches of texts of unequal lengths; by default none. */
  readonly hasPlaces?: boolean;
  /** Weights of more bytes than this in all go to a file beside the model; by default 2 GB, the limit of the format. */
  readonly externalAbove?: number;
  /** Name of that file behind that of the model; by default `.data`. */
  readonly externalSuffix?: string;
}

/** What was written. */
export interface ExportedModel {
  /** The model. */
  readonly file: string;
  /** Weights, if they are apart. */
  readonly dataFile: string | undefined;
  /** Bytes of the weights. */
  readonly weightBytes: number;
  /** Names of inputs. */
  readonly inputs: readonly string[];
  /** Names of outputs. */
  readonly outputs: readonly string[];
  /** Version of ONNX's operators. */
  readonly opset: number;
  /** Version of the file format. */
  readonly irVersion: number;
  /** Of the model. */
  readonly sizes: ModelSizes;
}

/** Names of tensors, shapes and nodes take room, too. */
const PROTOBUF_LIMIT = 2_000_000_000;
/** Where a tensor starts in the file of the weights: pages, so that it can be mapped. */
const ALIGN = 4096;

/**
 * Writes the model of a checkpoint or another directory of Hugging Face's form as an ONNX model that any onnxruntime
 * runs.
 *
 * @param file Replaced if it exists; weights that are apart go to a file beside it.
 * @throws {UsageError} If the directory cannot be used, or the model has no ONNX form.
 */
export async function exportOnnx(
  folder: string,
  file: string,
  options: ExportOptions = {},
): Promise<ExportedModel> {
  const { kvCache = false, hasPlaces, externalAbove = PROTOBUF_LIMIT, externalSuffix = ".data" } = options,
    directory = await openDirectory(folder),
    { family, config } = directory,
    sizes = family.sizes(config);
  if ((sizes.experts ?? 0) > 0) refuseExperts(directory.folder);
  await checkWritable(file);
  const weights = await openWeights(directory);
  const weightBytes = [...weights.values()].reduce((sum, tensor) => sum + 4 * storedLength(tensor), 0);
  const dataFile = weightBytes > externalAbove ? `${file}${externalSuffix}` : undefined;
  // Weights that are apart go from file to file, a block at a time.
  const tensors = dataFile === undefined ? readTensors(weights) : withoutElements(weights);
  const graph = lowerDecoder(family, config, tensors, { kvCache, hasPlaces });
  const places = dataFile === undefined
    ? new Map()
    : placeWeights(graph.weights, weights, baseName(dataFile));
  const { encodeModel, IR_VERSION, OPSET } = await onnx.openEncoder();
  const bytes = encodeModel(graph.part, { rename: graph.names, externalize: (value) => places.get(value) });
  if (dataFile !== undefined) await copyWeights(weights, dataFile, places);
  await Deno.writeFile(`${file}.tmp`, bytes);
  await Deno.rename(`${file}.tmp`, file);
  const nameOf = (value: onnx.Value) => graph.names.get(value) ?? value.name;
  const ends = { inputs: graph.part.inputs.map(nameOf), outputs: graph.part.outputs.map(nameOf) };
  return { file, dataFile, weightBytes, ...ends, opset: OPSET, irVersion: IR_VERSION, sizes };
}

function refuseExperts(folder: string): never {
  throw new UsageError(`Cannot export ${folder}: a mixture of experts has no ONNX form; use a dense model`);
}

/** A folder that is not there, or may not be written, is known before the weights are read. */
async function checkWritable(file: string): Promise<void> {
  try {
    await Deno.writeFile(`${file}.tmp`, new Uint8Array());
    await Deno.remove(`${file}.tmp`);
  } catch (error) {
    const problem = error instanceof Deno.errors.NotFound ? "its folder does not exist" : fileProblem(error);
    throw new UsageError(`Cannot write ${file}: ${problem}; choose another --onnx`);
  }
}

/** What stands for tensors whose elements are apart. */
function withoutElements(weights: TensorIndex): Map<string, Float32Array> {
  return new Map([...weights.keys()].map((name) => [name, new Float32Array(0)]));
}

type Places = Map<onnx.Value, onnx.ExternalData>;

function placeWeights(values: readonly onnx.Value[], weights: TensorIndex, location: string): Places {
  const places: Places = new Map();
  let offset = 0;
  for (const value of values) {
    const length = 4 * storedLength(weights.get(value.name)!);
    places.set(value, { location, offset, length });
    offset = Math.ceil((offset + length) / ALIGN) * ALIGN;
  }
  return places;
}

/** Copies weights to their places in a file of their own, as f32. */
async function copyWeights(weights: TensorIndex, path: string, places: Places): Promise<void> {
  using file = await Deno.open(`${path}.tmp`, { write: true, create: true, truncate: true });
  using reader = new TensorReader();
  for (const [{ name }, { offset }] of places) {
    const tensor = weights.get(name)!;
    file.seekSync(offset, Deno.SeekMode.Start);
    reader.visit(tensor, { start: 0, length: storedLength(tensor) }, (values) => {
      writeAllSync(file, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    });
  }
  await Deno.rename(`${path}.tmp`, path);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
