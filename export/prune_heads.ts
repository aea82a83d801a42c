import { UsageError } from "../files/mod.ts";

/** Sizes of a model with heads of a width of their own, as decoders of Llama's kind have them. */
export interface HeadConfig {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Layers of attention, by their names in each block. */
const PARTS = ["q_proj", "k_proj", "v_proj", "o_proj"] as const;
/** A weight or bias of one of them. */
const NAME = /^model\.layers\.(\d+)\.self_attn\.([qkvo]_proj)\.(weight|bias)$/;

/** Heads of each layer that are left out: those with the smallest weights, with the heads of keys that only they read. */
export class HeadPruning {
  /** The configuration of the smaller model. */
  readonly config: unknown;
  readonly #old: HeadConfig;
  /** Heads of keys that are kept, for each layer. */
  readonly #kept: number[][] = [];
  readonly #group: number;

  /**
   * Leaves out so many heads of each layer.
   *
   * @throws {UsageError} If none would be left, or some that read the same keys.
   */
  constructor(config: HeadConfig, heads: number) {
    const group = config.heads / config.kvHeads;
    if (heads >= config.heads || heads % group !== 0) {
      const most = config.heads - group,
        step = group === 1 ? "" : ` in steps of ${group}, which read the same keys`;
      throw new UsageError(
        `Cannot leave ${heads} of ${config.heads} heads out: it may be ${group} to ${most}${step}`,
      );
    }
    this.#old = config;
    this.#group = group;
    this.config = { ...config, heads: config.heads - heads, kvHeads: config.kvHeads - heads / group };
  }

  /** Looks at the weights of all heads. */
  choose(read: (name: string) => Float32Array): void {
    const { layers, kvHeads } = this.#old, kept = (this.config as HeadConfig).kvHeads;
    for (let layer = 0; layer < layers; layer++) {
      const sizes = new Float64Array(kvHeads);
      for (const part of PARTS) {
        const values = read(`model.layers.${layer}.self_attn.${part}.weight`),
          { length, ofHead } = this.#layout(part, values);
        for (let i = 0; i < length; i++) sizes[ofHead(i)] += values[i] ** 2;
      }
      const order = [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a] || a - b);
      this.#kept.push(order.slice(0, kept).sort((a, b) => a - b));
    }
  }

  /** What is left of a tensor. */
  keep(name: string, _shape: readonly number[], values: Float32Array): Float32Array {
    const [, layer, part] = NAME.exec(name) ?? [];
    if (layer === undefined) return values;
    const kept = new Set(this.#kept[Number(layer)]), { ofHead } = this.#layout(part, values);
    return values.filter((_, i) => kept.has(ofHead(i)));
  }

  /** Which head of keys an element of a tensor belongs to. */
  #layout(part: string, values: Float32Array) {
    const { heads, kvHeads, headDim } = this.#old, group = this.#group, { length } = values;
    const width = (part === "q_proj" || part === "o_proj" ? heads : kvHeads) * headDim;
    const perHead = headDim * (part === "q_proj" || part === "o_proj" ? group : 1);
    // Rows of heads, or columns in the layer that puts them together.
    const ofHead = part === "o_proj"
      ? (i: number) => Math.floor(i % width / perHead)
      : (i: number) => Math.floor(i / (length / width) / perHead);
    return { length, ofHead };
  }
}
