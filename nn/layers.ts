import { checkSharing, fusedInputs } from "./ops/attention_inputs.ts";
import { attend } from "./ops/attention.ts";
import { add, gelu, geluErf, scaled } from "./ops/elementwise.ts";
import { addBias, linear, type LinearOptions } from "./ops/linear.ts";
import { embedding, layerNorm, rmsNorm } from "./ops/rows.ts";
import {
  type AdapterSize,
  type Attend,
  constant,
  type Initializer,
  type LayerHooks,
  type LinearSite,
  normal,
  type Scope,
  uniform,
} from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Parameter, Tensor } from "./tensor.ts";

/** Sizes and start of a {@link Linear} layer. */
export interface LinearConfig {
  /** Length of the last dim of what goes in. */
  readonly inputs: number;
  /** Length of the last dim of what comes out. */
  readonly outputs: number;
  /** By default true. */
  readonly bias?: boolean;
  /** The weight is [outputs, inputs], as in Llama; by default [inputs, outputs]. */
  readonly outputsFirst?: boolean;
  /** By default normal with deviation 0.02. */
  readonly initialize?: Initializer;
}

/** `y = x weight + bias`, or `y = x weight^T + bias`; and what its adapter adds, if it has one. */
export class Linear {
  /** [inputs, outputs], the Conv1D layout of GPT-2, or [outputs, inputs], that of `torch.nn.Linear`. */
  readonly weight: Parameter;
  /** [outputs], from zero. */
  readonly bias: Parameter | undefined;
  readonly #outputsFirst: boolean;
  readonly #hooks: LayerHooks | undefined;
  readonly #adapter: Adapter | undefined;

  /** Makes the parameters `weight` and `bias` in the scope, and those of an adapter. */
  constructor(scope: Scope, config: LinearConfig) {
    const { inputs, outputs, bias = true, outputsFirst = false, initialize = normal(0.02) } = config;
    this.#hooks = scope.hooks;
    this.#outputsFirst = outputsFirst;
    const shape = outputsFirst ? [outputs, inputs] : [inputs, outputs];
    this.weight = scope.parameter("weight", shape, initialize, {
      inputsDim: outputsFirst ? 1 : 0,
      of: "layer",
    });
    this.bias = bias ? scope.parameter("bias", [outputs], constant(0)) : undefined;
    this.#adapter = Adapter.of(scope, { inputs, outputs, outputsFirst, weight: this.weight.name });
  }

  /** Shapes: x [..., inputs], result [..., outputs]; of a sharded layer, this device's part of them. */
  forward(tape: Tape, x: Tensor, options: ForwardOptions = {}): Tensor {
    const y = this.#sum(tape, x, options);
    return this.#hooks?.result?.(tape, y) ?? y;
  }

  /** As {@link forward}, as a part of the result of another layer. */
  partOf(tape: Tape, x: Tensor, options: ForwardOptions): Tensor {
    return this.#product(tape, x, options);
  }

  #sum(tape: Tape, x: Tensor, { activation, ...options }: ForwardOptions): Tensor {
    if (this.#adapter === undefined) return this.#product(tape, x, { activation, ...options });
    const sum = this.#adapter.addTo(tape, this.#product(tape, x, options), x);
    return activation === "gelu" ? gelu(tape, sum) : sum;
  }

  #product(tape: Tape, x: Tensor, options: ForwardOptions): Tensor {
    const input = this.#hooks?.input?.(tape, x) ?? x, { output } = this.#hooks ?? {};
    const outputsFirst = this.#outputsFirst;
    if (output === undefined) {
      return linear(tape, input, this.weight, { ...options, outputsFirst, bias: this.bias });
    }
    const sum = output(tape, linear(tape, input, this.weight, { outputsFirst }));
    return addBias(tape, sum, { ...options, bias: this.bias });
  }
}

/** What a forward pass of a {@link Linear} layer adds. */
export type ForwardOptions = Omit<LinearOptions, "bias" | "outputsFirst">;

/**
 * A low-rank adapter of a linear layer: `y += scale B A x`, with A [rank, inputs] and B [outputs, rank], which begins at
 * zero. Each is a linear layer of its own, `lora_A` and `lora_B`, that a plan may split as it splits the layer.
 *
 * Cost: 2 rank (inputs + outputs) operations for each row, forward.
 * Source: Hu et al., LoRA, ICLR 2022; A begins as PEFT's, which is PyTorch's for a linear layer.
 */
class Adapter {
  readonly #down: Linear;
  readonly #up: Linear;
  readonly #scale: number;

  constructor(scope: Scope, { inputs, outputs, rank, scale }: AdapterSizes) {
    const shared = { bias: false, outputsFirst: true };
    const first = { inputs, outputs: rank, initialize: uniform(1 / Math.sqrt(inputs)) };
    this.#down = new Linear(scope.child("lora_A"), { ...shared, ...first });
    const second = { inputs: rank, outputs, initialize: constant(0) };
    this.#up = new Linear(scope.child("lora_B"), { ...shared, ...second });
    this.#scale = scale;
  }

  /** The adapter that the layer of a scope has, if any. */
  static of(scope: Scope, layer: Omit<LinearSite, "path">): Adapter | undefined {
    const adapter = scope.adapterOf(layer);
    return adapter && new Adapter(scope, { ...layer, ...adapter });
  }

  /** Shapes: y [..., outputs], x [..., inputs], result as y. */
  addTo(tape: Tape, y: Tensor, x: Tensor): Tensor {
    const inner = scaled(tape, this.#down.forward(tape, x), this.#scale);
    return this.#up.partOf(tape, inner, { residual: y });
  }
}

interface AdapterSizes extends AdapterSize {
  readonly inputs: number;
  readonly outputs: number;
}

/** A table of `rows` vectors. */
export class Embedding {
  /** [rows, width]. */
  readonly weight: Parameter;
  readonly #hooks: LayerHooks | undefined;

  /** Makes the parameter `weight` in the scope. */
  constructor(scope: Scope, config: { rows: number; width: number; initialize?: Initializer }) {
    this.#hooks = scope.hooks;
    const { rows, width, initialize = normal(0.02) } = config, use = { inputsDim: 1, of: "table" } as const;
    this.weight = scope.parameter("weight", [rows, width], initialize, use);
  }

  /** Shapes: ids i32 [...], result [..., width], or that of this device's rows; `onto` is added. */
  forward(tape: Tape, ids: Tensor, onto?: Tensor): Tensor {
    const { input, output } = this.#hooks ?? {}, own = input?.(tape, ids) ?? ids;
    if (output === undefined) return embedding(tape, own, this.weight, onto);
    const rows = output(tape, embedding(tape, own, this.weight));
    return onto === undefined ? rows : add(tape, onto, rows);
  }
}

/** The output head: scores of all rows of a table, which may be the token embedding. */
export class Head {
  /** [rows, width]: may be the table of an embedding. */
  readonly table: Parameter;
  readonly #hooks: LayerHooks | undefined;
  readonly #adapter: Adapter | undefined;

  /**
   * Shares the table of that name, or makes it: `weight`, if it is the head's own.
   *
   * @param table Full name, rows and width of the table.
   */
  constructor(scope: Scope, table: { name: string; rows: number; width: number; initialize?: Initializer }) {
    this.#hooks = scope.hooks;
    const { name, rows, width, initialize = normal(0.02) } = table, own = scope.child("weight").path;
    const isTable = name !== own, shape = [rows, width];
    const use = { inputsDim: 1, of: isTable ? "table" : "head" } as const;
    this.table = isTable
      ? scope.shared(name, shape, initialize, use)
      : scope.parameter("weight", shape, initialize, use);
    this.#adapter = Adapter.of(scope, { inputs: width, outputs: rows, outputsFirst: true, weight: name });
  }

  /** Shapes: x [..., width], result [..., rows]. */
  forward(tape: Tape, x: Tensor): Tensor {
    const { input, result } = this.#hooks ?? {};
    const own = linear(tape, input?.(tape, x) ?? x, this.table, { outputsFirst: true, name: "logits" });
    const logits = this.#adapter?.addTo(tape, own, x) ?? own;
    return result?.(tape, logits) ?? logits;
  }
}

/** Layer norm with gain and shift. */
export class LayerNorm {
  /** [width], from one: the gain. */
  readonly weight: Parameter;
  /** [width], from zero: the shift. */
  readonly bias: Parameter;
  readonly #epsilon: number;

  /** Normalises rows of `width` elements; `epsilon` is added to their variance. */
  constructor(scope: Scope, width: number, epsilon = 1e-5) {
    this.weight = scope.parameter("weight", [width], constant(1));
    this.bias = scope.parameter("bias", [width], constant(0));
    this.#epsilon = epsilon;
  }

  /** Shapes: x [..., width], result the same. */
  forward(tape: Tape, x: Tensor): Tensor {
    return layerNorm(tape, x, { gamma: this.weight, beta: this.bias, epsilon: this.#epsilon });
  }
}

/** RMSNorm with a gain: the norm of Llama. */
export class RmsNorm {
  /** [width], from one: the gain. */
  readonly weight: Parameter;
  readonly #epsilon: number;

  /** Normalises rows of `width` elements; `epsilon` is added to their mean square. */
  constructor(scope: Scope, width: number, epsilon = 1e-5) {
    this.weight = scope.parameter("weight", [width], constant(1));
    this.#epsilon = epsilon;
  }

  /** Shapes: x [..., width], result the same. */
  forward(tape: Tape, x: Tensor): Tensor {
    return rmsNorm(tape, x, { gamma: this.weight, epsilon: this.#epsilon });
  }
}

/** Sizes of the layers of a transformer block. */
export interface BlockConfig {
  /** Width of the residual stream. */
  readonly embed: number;
  /** Attention heads; must divide `embed`. */
  readonly heads: number;
  /** Deviation of the two projections that write to the residual stream. */
  readonly residualDeviation: number;
}

/** Sizes of a layer of attention. */
export interface AttentionConfig extends BlockConfig {
  /** Heads of keys and values: a divisor of `heads`, by default as many. */
  readonly kvHeads?: number;
}

/**
 * Multi-head causal self-attention with fused q, k and v; with fewer heads of keys and values, grouped-query attention.
 *
 * Source: Ainslie et al., GQA, EMNLP 2023.
 */
export class CausalSelfAttention {
  readonly #sizes: { readonly headDim: number; readonly group: number };
  readonly #attend: Attend;
  readonly #qkv: Linear;
  readonly #project: Linear;

  /**
   * Makes `c_attn` [embed, (heads + 2 kvHeads) embed / heads] and `c_proj` [embed, embed].
   *
   * @throws {RangeError} If `kvHeads` does not divide `heads`.
   */
  constructor(scope: Scope, { embed, heads, kvHeads = heads, residualDeviation }: AttentionConfig) {
    checkSharing(heads, kvHeads, scope.path);
    const headDim = embed / heads, outputs = (heads + 2 * kvHeads) * headDim;
    this.#sizes = { headDim, group: heads / kvHeads };
    this.#attend = scope.hooks?.attend ?? attend;
    this.#qkv = new Linear(scope.child("c_attn"), { inputs: embed, outputs });
    const initialize = normal(residualDeviation);
    this.#project = new Linear(scope.child("c_proj"), { inputs: embed, outputs: embed, initialize });
  }

  /** Shapes: x and residual [B, T, C]; result `residual + attention(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor, attend: Attend = this.#attend): Tensor {
    const mixed = attend(tape, fusedInputs(this.#qkv.forward(tape, x), this.#sizes));
    return this.#project.forward(tape, mixed, { residual });
  }
}

/** Sizes of a {@link FeedForward} layer. */
export interface FeedForwardConfig extends Pick<BlockConfig, "embed" | "residualDeviation"> {
  /** Width between the two projections; by default `4 embed`. */
  readonly inner?: number;
  /** The form with tanh, by default, or that with erf, which is a pass over memory of its own. */
  readonly activation?: "gelu" | "geluErf";
}

/** Two linear layers with a GELU between, four times as wide inside. */
export class FeedForward {
  readonly #up: Linear;
  readonly #down: Linear;
  readonly #activation: "gelu" | "geluErf";

  /** Makes `c_fc` [embed, inner] and `c_proj` [inner, embed]. */
  constructor(scope: Scope, config: FeedForwardConfig) {
    const { embed, inner = 4 * embed, activation = "gelu", residualDeviation } = config;
    this.#up = new Linear(scope.child("c_fc"), { inputs: embed, outputs: inner });
    const initialize = normal(residualDeviation);
    this.#down = new Linear(scope.child("c_proj"), { inputs: inner, outputs: embed, initialize });
    this.#activation = activation;
  }

  /** Shapes: x and residual [B, T, C]; result `residual + mlp(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor): Tensor {
    const inner = this.#activation === "gelu"
      ? this.#up.forward(tape, x, { activation: "gelu" })
      : geluErf(tape, this.#up.forward(tape, x));
    return this.#down.forward(tape, inner, { residual });
  }
}
