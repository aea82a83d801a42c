import { readTensors, UsageError } from "../files/mod.ts";
import { onnx } from "../kernels/mod.ts";
import { loadGpt } from "./checkpoint.ts";
import { lowerGpt } from "./gpt_graph.ts";
import type { GptSizes } from "./mixture_files.ts";

/** How to export. */
export interface ExportOptions {
  /** Inputs and outputs for cached keys and values, so that a token costs one token; by default none. */
  readonly kvCache?: boolean;
  /** Weights of more bytes than this in all go to a file beside the model; by default 2 GB, the limit of the format. */
  readonly externalAbove?: number;
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
  readonly sizes: GptSizes;
}

/** Names of tensors, shapes and nodes take room, too. */
const PROTOBUF_LIMIT = 2_000_000_000;
/** Where a tensor starts in the file of the weights: pages, so that it can be mapped. */
const ALIGN = 4096;

/**
 * Writes the model of a checkpoint or a Hugging Face GPT-2 directory as an ONNX model that any onnxruntime runs.
 *
 * @param file Replaced if it exists; weights that are apart go to `file.data`.
 * @throws {UsageError} If the directory cannot be used, or the model has no ONNX form.
 */
export async function exportOnnx(
  folder: string,
  file: string,
  options: ExportOptions = {},
): Promise<ExportedModel> {
  const { kvCache = false, externalAbove = PROTOBUF_LIMIT } = options,
    { sizes, weights } = await loadGpt(folder);
  const graph = lowerOrRefuse(folder, () => lowerGpt(sizes, readTensors(weights), { kvCache }));
  const weightBytes = graph.weights.reduce((sum, { elements }) => sum + elements!.byteLength, 0);
  const dataFile = weightBytes > externalAbove ? `${file}.data` : undefined;
  const places = dataFile === undefined ? new Map() : placeWeights(graph.weights, baseName(dataFile));
  const { encodeModel, IR_VERSION, OPSET } = await onnx.openEncoder();
  const bytes = encodeModel(graph.part, { rename: graph.names, externalize: (value) => places.get(value) });
  if (dataFile !== undefined) await writeWeights(dataFile, places);
  await Deno.writeFile(`${file}.tmp`, bytes);
  await Deno.rename(`${file}.tmp`, file);
  const nameOf = (value: onnx.Value) => graph.names.get(value) ?? value.name;
  const ends = { inputs: graph.part.inputs.map(nameOf), outputs: graph.part.outputs.map(nameOf) };
  return { file, dataFile, weightBytes, ...ends, opset: OPSET, irVersion: IR_VERSION, sizes };
}

function lowerOrRefuse<T>(folder: string, lower: () => T): T {
  try {
    return lower();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`Cannot export ${folder}: ${error.message}`);
  }
}

type Places = Map<onnx.Value, onnx.ExternalData>;

function placeWeights(weights: readonly onnx.Value[], location: string): Places {
  const places: Places = new Map();
  let offset = 0;
  for (const value of weights) {
    const length = value.elements!.byteLength;
    places.set(value, { location, offset, length });
    offset = Math.ceil((offset + length) / ALIGN) * ALIGN;
  }
  return places;
}

/** One tensor at a time: together they may be larger than a buffer can be. */
async function writeWeights(path: string, places: Places): Promise<void> {
  using file = await Deno.open(`${path}.tmp`, { write: true, create: true, truncate: true });
  for (const [{ elements }, { offset }] of places) {
    await file.seek(offset, Deno.SeekMode.Start);
    const bytes = new Uint8Array(elements!.buffer, elements!.byteOffset, elements!.byteLength).slice();
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  }
  await Deno.rename(`${path}.tmp`, path);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
