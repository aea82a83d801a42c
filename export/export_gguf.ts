/**
 * Models as files of llama.cpp.
 *
 * @module
 */
import {
  architectureOf,
  llama3Factors,
  metadataOf,
  type NamedTensor,
  openDirectory,
  openWeights,
  rowOrderOf,
  type StoredTokenizer,
  tensorNames,
  vocabularyOf,
} from "../checkpoint/mod.ts";
import {
  type BlockFormat,
  type GgufTensor,
  quantiseBlocks,
  type StoredDType,
  storedLength,
  type StoredTensor,
  TensorReader,
  type TypedValue,
  UsageError,
  writeGguf,
} from "../files/mod.ts";
import { hasFile, readPlaceText, readTokenizerConfig, type TokenizerPlace } from "../tokenizers/mod.ts";

/** Types that weights are written in. */
export const GGUF_TYPES = ["f32", "bf16", "q8_0", "q4_0"] as const;
/** One of {@link GGUF_TYPES}. */
export type GgufType = typeof GGUF_TYPES[number];

/** What was written. */
export interface WrittenGguf {
  /** The file. */
  readonly file: string;
  /** Type of the weights of layers. */
  readonly type: GgufType;
  /** Tensors. */
  readonly tensors: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** What is missing, and why. */
  readonly problem?: string;
}

/** `general.file_type` of llama.cpp. */
const FILE_TYPES: Readonly<Record<GgufType, number>> = { f32: 0, bf16: 32, q8_0: 7, q4_0: 2 };
const STORED: Readonly<Record<GgufType, StoredDType>> = {
  f32: "F32",
  bf16: "BF16",
  q8_0: "Q8_0",
  q4_0: "Q4_0",
};

/**
 * Writes a model as a GGUF file, which llama.cpp reads. Norms, biases and routers are f32; with q4_0 the token table and the
 * head are q8_0, as four bits of a vocabulary cost more than they save; what has no whole blocks of 32 is f32.
 *
 * Cost: a pass over the weights, a tensor at a time.
 *
 * @throws {UsageError} If the model has no form that llama.cpp computes, or the file cannot be written.
 */
export async function exportGguf(model: string, file: string, type: GgufType): Promise<WrittenGguf> {
  const directory = await openDirectory(model), { folder, family, config, companions } = directory;
  const json = { ...companions.config, ...family.checkpoint.toConfig(config) };
  const architecture = architectureOf(json, folder), { vocab, layers, experts } = family.sizes(config);
  const weights = await openWeights(directory), stored = await readTokenizer(companions);
  const vocabulary = vocabularyOf(stored, vocab), name = folder.split("/").at(-1)!;
  const metadata = new Map<string, TypedValue>([
    ...metadataOf(json, architecture),
    ["general.name", { type: "string", value: name }],
    ["general.file_type", { type: "u32", value: FILE_TYPES[type] }],
    ["general.quantization_version", { type: "u32", value: 2 }],
    ...vocabulary.metadata,
  ]);
  const { heads, kvHeads = heads } = family.sizes(config);
  const order = architecture === "llama" ? { heads, kvHeads } : undefined;
  const named = tensorNames({ type: String(json.model_type), layers, experts });
  const tensors = named.flatMap((one) => tensorOf(one, { weights, type, order }));
  const missing = [...weights.keys()].find((key) =>
    !named.some(({ parameters }) => parameters.includes(key))
  );
  if (missing !== undefined) {
    throw new UsageError(`Cannot write ${folder} as GGUF: it has no name for ${missing}`);
  }
  const factors = llama3Factors(json);
  if (factors !== undefined) tensors.push(plainTensor("rope_freqs.weight", factors));
  const bytes = writeGguf(file, { metadata, tensors }), { problem } = vocabulary;
  return { file, type, tensors: tensors.length, bytes, ...(problem !== undefined && { problem }) };
}

async function readTokenizer(place: TokenizerPlace): Promise<StoredTokenizer | undefined> {
  if (!hasFile(place, "tokenizer.json")) return undefined;
  const config = await readTokenizerConfig(place),
    tokenizer = JSON.parse(await readPlaceText(place, "tokenizer.json"));
  const hasTemplate = hasFile(place, "chat_template.jinja");
  return {
    tokenizer,
    config: hasTemplate
      ? { ...config, chat_template: await readPlaceText(place, "chat_template.jinja") }
      : config,
  };
}

interface TensorSource {
  readonly weights: ReadonlyMap<string, StoredTensor>;
  readonly type: GgufType;
  /** Of heads, whose rows lie in another order there. */
  readonly order: { readonly heads: number; readonly kvHeads: number } | undefined;
}

/** None if the model has no such parameters. */
function tensorOf(
  { gguf, parameters, isStacked }: NamedTensor,
  { weights, type, order }: TensorSource,
): GgufTensor[] {
  const sources = parameters.flatMap((name) => weights.get(name) ?? []);
  if (sources.length < parameters.length) return [];
  const [{ shape }] = sources, dtype = STORED[typeOf(gguf, shape, type)];
  const rowOrder = order && rowOrderOf(gguf, shape[0], order);
  return [{
    name: gguf,
    shape: isStacked ? [sources.length, ...shape] : shape,
    dtype,
    *read() {
      for (const source of sources) yield* encodeRows(source, dtype, rowOrder);
    },
  }];
}

function typeOf(gguf: string, shape: readonly number[], type: GgufType): GgufType {
  if (shape.length < 2 || gguf.includes("ffn_gate_inp")) return "f32";
  if ((type === "q8_0" || type === "q4_0") && shape[shape.length - 1] % 32 !== 0) return "f32";
  return type === "q4_0" && /^(?:token_embd|output)\./.test(gguf) ? "q8_0" : type;
}

/** Weights that are encoded at a time. */
const PART = 1 << 20;

/** The rows of a tensor as a file has them, in its order. */
function* encodeRows(
  tensor: StoredTensor,
  dtype: StoredDType,
  rowOrder: readonly number[] | undefined,
): Generator<Uint8Array<ArrayBuffer>> {
  using reader = new TensorReader();
  const length = storedLength(tensor), rows = tensor.shape[0], columns = length / rows;
  // Row `i` of the file is the one whose place is `i`.
  const sourceOf = rowOrder && invert(rowOrder),
    step = sourceOf === undefined ? Math.ceil(PART / columns) : 1;
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row), values = new Float32Array(count * columns);
    reader.read(tensor, (sourceOf?.[row] ?? row) * columns, values);
    yield encode(values, dtype);
  }
}

function invert(order: readonly number[]): number[] {
  const inverse = Array<number>(order.length);
  order.forEach((place, i) => inverse[place] = i);
  return inverse;
}

function encode(values: Float32Array<ArrayBuffer>, dtype: StoredDType): Uint8Array<ArrayBuffer> {
  switch (dtype) {
    case "Q8_0":
    case "Q4_0":
      return quantiseBlocks(dtype.toLowerCase() as BlockFormat, values);
    case "BF16":
      return toBf16(values);
    default:
      return new Uint8Array(values.buffer);
  }
}

/** Upper halves, rounded to nearest, ties to even. */
function toBf16(values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer), halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) halves[i] = (bits[i] + 0x7fff + (bits[i] >>> 16 & 1)) >>> 16;
  return new Uint8Array(halves.buffer);
}

function plainTensor(name: string, values: Float32Array): GgufTensor {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { name, shape: [values.length], dtype: "F32", read: () => [data] };
}
