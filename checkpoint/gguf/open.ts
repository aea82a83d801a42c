import {
  BLOCK_FORMATS,
  type BlockFormat,
  blockFormatOf,
  type GgufFile,
  openGguf,
  readTensor,
  storedLength,
  type StoredTensor,
  UsageError,
} from "../../files/mod.ts";
import { type ConfigJson, configOf, llama3Scaling, ROPE_KEY } from "./fields.ts";
import { namedTensors } from "./names.ts";
import { textsOf } from "./vocabulary.ts";

/** Whether a path names a GGUF file. */
export function isGguf(path: string): boolean {
  return /\.gguf$/i.test(path);
}

/** A GGUF file as the directory that it would be. */
export interface GgufModel {
  /** `config.json`. */
  readonly config: ConfigJson;
  /** Files of its tokenizer, by name. */
  readonly texts: Readonly<Record<string, string>>;
  /** Blocks that most weights are stored in; undefined for single numbers. */
  readonly format: BlockFormat | undefined;
  /** Tensors by the names of Hugging Face. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * Reads what a file says of its model.
 *
 * @throws {UsageError} If it cannot be read, or is a model that is not computed here.
 */
export async function openGgufModel(path: string): Promise<GgufModel> {
  const { metadata, tensors } = await openGguf(path), table = tensors.get("token_embd.weight");
  if (table === undefined) throw new UsageError(`Cannot use ${path}: it has no tensor token_embd.weight`);
  const facts = { names: new Set(tensors.keys()), vocab: table.shape[0] };
  const plain = configOf(metadata, facts, path), known = metadata.get(ROPE_KEY);
  const ropeScaling = typeof known === "string" ? JSON.parse(known) : scalingOf(tensors, plain, path);
  const eos = metadata.get("tokenizer.ggml.eos_token_id");
  const config: ConfigJson = {
    ...plain,
    ...(ropeScaling && { rope_scaling: ropeScaling }),
    ...(eos !== undefined && { eos_token_id: eos }),
  };
  const heads = Number(config.num_attention_heads), kvHeads = Number(config.num_key_value_heads ?? heads);
  const model = {
    type: String(config.model_type),
    layers: Number(config.num_hidden_layers),
    experts: Number(config.num_local_experts ?? config.num_experts ?? 0),
  };
  const isPermuted = metadata.get("general.architecture") === "llama";
  const names = { model, heads: isPermuted ? { heads, kvHeads } : undefined, path };
  const named = namedTensors(tensors, names);
  return {
    config,
    texts: textsOf(metadata, path),
    tensors: named,
    format: commonFormat([...named.values()]),
  };
}

/** The format of more than half of all numbers. */
function commonFormat(tensors: readonly StoredTensor[]): BlockFormat | undefined {
  const count = (some: readonly StoredTensor[]) =>
    some.reduce((sum, tensor) => sum + storedLength(tensor), 0);
  return BLOCK_FORMATS.find((format) =>
    2 * count(tensors.filter(({ dtype }) => blockFormatOf(dtype) === format)) > count(tensors)
  );
}

function scalingOf(tensors: GgufFile["tensors"], json: ConfigJson, path: string) {
  const factors = tensors.get("rope_freqs.weight");
  if (factors === undefined) return undefined;
  const headDim = json.head_dim ?? Number(json.hidden_size) / Number(json.num_attention_heads);
  return llama3Scaling(readTensor(factors), { ...json, head_dim: headDim }, path);
}
