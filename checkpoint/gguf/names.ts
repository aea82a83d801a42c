/**
 * Tensors of a model by the names of Hugging Face and of GGUF.
 *
 * Source: llama.cpp, `gguf-py/gguf/tensor_mapping.py`; `permute` of its `convert_hf_to_gguf.py`.
 *
 * @module
 */
import { storedBytes, storedLength, type StoredTensor, UsageError } from "../../files/mod.ts";

/** Beside the layers. */
const SINGLE: readonly (readonly [gguf: string, hub: string])[] = [
  ["token_embd", "model.embed_tokens"],
  ["output_norm", "model.norm"],
  ["output", "lm_head"],
];

/** In a layer. */
const IN_LAYER: readonly (readonly [gguf: string, hub: string])[] = [
  ["attn_norm", "input_layernorm"],
  ["attn_q", "self_attn.q_proj"],
  ["attn_k", "self_attn.k_proj"],
  ["attn_v", "self_attn.v_proj"],
  ["attn_output", "self_attn.o_proj"],
  ["attn_q_norm", "self_attn.q_norm"],
  ["attn_k_norm", "self_attn.k_norm"],
  ["ffn_norm", "post_attention_layernorm"],
  ["ffn_gate", "mlp.gate_proj"],
  ["ffn_up", "mlp.up_proj"],
  ["ffn_down", "mlp.down_proj"],
];

/** Routers and experts of a layer, by the `model_type`. */
const EXPERTS: Readonly<Record<string, { readonly router: string; readonly experts: readonly string[] }>> = {
  mixtral: {
    router: "block_sparse_moe.gate",
    experts: ["w1", "w3", "w2"].map((w) => `block_sparse_moe.experts.*.${w}`),
  },
  qwen3_moe: {
    router: "mlp.gate",
    experts: ["gate_proj", "up_proj", "down_proj"].map((name) => `mlp.experts.*.${name}`),
  },
};

/** All experts of a layer in one tensor: gate, up, down. */
const EXPERT_NAMES = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];

/** A tensor of GGUF: the parameter that it is, or those of all experts of a layer. */
export interface NamedTensor {
  /** Name in the file. */
  readonly gguf: string;
  /** Names of parameters: of all experts, in order, or of one. */
  readonly parameters: readonly string[];
  /** They are experts, of which the file has one tensor. */
  readonly isStacked: boolean;
}

/** Numbers and kinds that names depend on. */
export interface NamedModel {
  /** `model_type`. */
  readonly type: string;
  /** Layers. */
  readonly layers: number;
  /** Experts of a layer. */
  readonly experts?: number;
}

/** All tensors that a model may have, in the order of a file. */
export function tensorNames({ type, layers, experts = 0 }: NamedModel): NamedTensor[] {
  const own = (gguf: string, hub: string) => ({ gguf, parameters: [hub], isStacked: false });
  const single = SINGLE.map(([gguf, hub]) => own(`${gguf}.weight`, `${hub}.weight`));
  const inLayers = Array.from({ length: layers }, (_, i) => {
    const inGguf = (name: string) => `blk.${i}.${name}`,
      inHub = (name: string) => `model.layers.${i}.${name}`;
    const plain = IN_LAYER.flatMap(([gguf, hub]) =>
      ["weight", "bias"].map((kind) => own(inGguf(`${gguf}.${kind}`), inHub(`${hub}.${kind}`)))
    );
    const mixture = experts > 0 ? EXPERTS[type] : undefined;
    if (mixture === undefined) return plain;
    const stacked = mixture.experts.map((name, part) => ({
      gguf: inGguf(`${EXPERT_NAMES[part]}.weight`),
      parameters: Array.from({ length: experts }, (_, e) => inHub(`${name.replace("*", `${e}`)}.weight`)),
      isStacked: true,
    }));
    return [...plain, own(inGguf("ffn_gate_inp.weight"), inHub(`${mixture.router}.weight`)), ...stacked];
  }).flat();
  return [...single, ...inLayers];
}

/** Numbers of heads, for {@link rowOrderOf}. */
export interface HeadCounts {
  /** Of queries. */
  readonly heads: number;
  /** Of keys. */
  readonly kvHeads: number;
}

/**
 * Where each row of queries and keys lies in a file of the architecture "llama", which has the elements of a head that turn
 * together side by side: element `p headDim / 2 + j` lies at `2 j + p`. Undefined for all other tensors.
 */
export function rowOrderOf(gguf: string, rows: number, { heads, kvHeads }: HeadCounts): number[] | undefined {
  const kind = /\.attn_([qk])\.(?:weight|bias)$/.exec(gguf)?.[1];
  if (kind === undefined) return undefined;
  const headDim = rows / (kind === "q" ? heads : kvHeads), half = headDim / 2;
  return Array.from({ length: rows }, (_, row) => {
    const element = row % headDim;
    return row - element + 2 * (element % half) + Math.floor(element / half);
  });
}

/** The tensors of a file by the names of parameters. */
export function namedTensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  { model, heads, path }: {
    readonly model: NamedModel;
    readonly heads: HeadCounts | undefined;
    readonly path: string;
  },
): Map<string, StoredTensor> {
  const named = new Map<string, StoredTensor>(), known = new Set(["rope_freqs.weight"]);
  for (const { gguf, parameters, isStacked } of tensorNames(model)) {
    const tensor = tensors.get(gguf);
    if (tensor === undefined) continue;
    known.add(gguf);
    if (isStacked) {
      parameters.forEach((name, e) => named.set(name, partOf(tensor, e, parameters.length, path)));
      continue;
    }
    const rowOrder = heads && rowOrderOf(gguf, tensor.shape[0], heads);
    named.set(parameters[0], rowOrder === undefined ? tensor : ordered(tensor, rowOrder));
  }
  const other = [...tensors.keys()].find((name) => !known.has(name));
  if (other === undefined) return named;
  throw new UsageError(`Cannot use ${path}: it has the tensor ${other}, which a ${model.type} has not`);
}

/** A bias is a column: its rows are its elements. */
function ordered(tensor: StoredTensor, rowOrder: readonly number[]): StoredTensor {
  return { ...tensor, rowOrder };
}

function partOf(tensor: StoredTensor, part: number, parts: number, path: string): StoredTensor {
  const [count, ...shape] = tensor.shape;
  if (count !== parts) {
    throw new UsageError(`Cannot use ${path}: it has tensors of ${count} experts for ${parts}`);
  }
  const { byteOffset, dtype } = tensor;
  return { ...tensor, shape, byteOffset: byteOffset + part * storedBytes(dtype, storedLength({ shape })) };
}
