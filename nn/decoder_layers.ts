/**
 * Layers of decoders since Llama: attention with rotary positions and shared heads of keys, and gated feed-forward layers.
 */
import { Linear } from "./layers.ts";
import { attend } from "./ops/attention.ts";
import { checkSharing, separateInputs } from "./ops/attention_inputs.ts";
import { headNorm } from "./ops/head_norm.ts";
import { type RotaryTable, rotate } from "./ops/rotary.ts";
import { swiglu } from "./ops/swiglu.ts";
import { type Attend, constant, type Initializer, type Scope } from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Parameter, Tensor } from "./tensor.ts";

/** RMSNorm of every head, with one gain. */
export class HeadNorm {
  /** [width of a head], from one: the gain. */
  readonly weight: Parameter;
  readonly #epsilon: number;

  /** Normalises heads of `headDim` elements; `epsilon` is added to their mean square. */
  constructor(scope: Scope, headDim: number, epsilon: number) {
    void scope.hooks; // A layer that can be split: see checkPlan.
    this.weight = scope.parameter("weight", [headDim], constant(1));
    this.#epsilon = epsilon;
  }

  /** Shapes: x [B, T, H headDim], result the same. */
  forward(tape: Tape, x: Tensor): Tensor {
    return headNorm(tape, x, { gamma: this.weight, epsilon: this.#epsilon });
  }
}

/** Sizes of a {@link RotaryAttention}. */
export interface RotaryAttentionConfig {
  /** Width of the residual stream. */
  readonly embed: number;
  /** Heads of queries. */
  readonly heads: number;
  /** Heads of keys and values: a divisor of `heads`. */
  readonly kvHeads: number;
  /** Elements of a head. */
  readonly headDim: number;
  /** Angles of positions. */
  readonly rotary: RotaryTable;
  /** Keys that a query sees, itself included; by default all before it. */
  readonly window?: number;
  /** Layers of q, k and v have biases. By default false. */
  readonly qkvBias?: boolean;
  /** The layer of the output has a bias. By default false. */
  readonly outputBias?: boolean;
  /** Of norms of the heads of q and k; without it there are none. */
  readonly headNormEpsilon?: number;
  /** Of weights. */
  readonly initialize: Initializer;
}

/**
 * Causal self-attention whose queries and keys are turned by their positions.
 *
 * Source: Touvron et al., Llama, 2023, section 2.2; Ainslie et al., GQA, EMNLP 2023; Yang et al., Qwen3, 2025, section 2
 * (norms of queries and keys).
 */
export class RotaryAttention {
  readonly #headDim: number;
  readonly #window: number | undefined;
  readonly #rotary: RotaryTable;
  readonly #attend: Attend;
  readonly #q: Linear;
  readonly #k: Linear;
  readonly #v: Linear;
  readonly #output: Linear;
  readonly #norms: { readonly q: HeadNorm; readonly k: HeadNorm } | undefined;

  /**
   * Makes `q_proj` [heads headDim, embed], `k_proj` and `v_proj` [kvHeads headDim, embed], `o_proj` [embed, heads headDim]
   * and, with an epsilon, `q_norm` and `k_norm` [headDim].
   *
   * @throws {RangeError} If `kvHeads` does not divide `heads`.
   */
  constructor(scope: Scope, config: RotaryAttentionConfig) {
    const { embed, heads, kvHeads, headDim, rotary, initialize, headNormEpsilon } = config;
    const { qkvBias = false, outputBias = false } = config;
    checkSharing(heads, kvHeads, scope.path);
    this.#headDim = headDim;
    this.#window = config.window;
    this.#rotary = rotary;
    this.#attend = scope.hooks?.attend ?? attend;
    const project = (name: string, inputs: number, outputs: number, bias: boolean) =>
      new Linear(scope.child(name), { inputs, outputs, bias, outputsFirst: true, initialize });
    this.#q = project("q_proj", embed, heads * headDim, qkvBias);
    this.#k = project("k_proj", embed, kvHeads * headDim, qkvBias);
    this.#v = project("v_proj", embed, kvHeads * headDim, qkvBias);
    this.#output = project("o_proj", heads * headDim, embed, outputBias);
    const norm = (name: string) => new HeadNorm(scope.child(name), headDim, headNormEpsilon!);
    this.#norms = headNormEpsilon === undefined ? undefined : { q: norm("q_norm"), k: norm("k_norm") };
  }

  /** Shapes: x and residual [B, T, C]; result `residual + attention(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor, attend: Attend = this.#attend): Tensor {
    const norms = this.#norms;
    const turned = (y: Tensor, norm: HeadNorm | undefined) =>
      rotate(tape, norm?.forward(tape, y) ?? y, this.#rotary);
    const q = turned(this.#q.forward(tape, x), norms?.q), k = turned(this.#k.forward(tape, x), norms?.k);
    const v = this.#v.forward(tape, x),
      mixed = attend(tape, separateInputs({ q, k, v }, this.#headDim, this.#window));
    return this.#output.forward(tape, mixed, { residual });
  }
}

/** Sizes of a {@link GatedFeedForward}. */
export interface GatedFeedForwardConfig {
  /** Width of the residual stream. */
  readonly embed: number;
  /** Width between the layers. */
  readonly inner: number;
  /** Layers have biases. By default false. */
  readonly bias?: boolean;
  /** Of weights. */
  readonly initialize: Initializer;
}

/**
 * `down(silu(gate(x)) * up(x))`.
 *
 * Source: Shazeer, GLU Variants Improve Transformer, 2020, section 2.
 */
export class GatedFeedForward {
  readonly #gate: Linear;
  readonly #up: Linear;
  readonly #down: Linear;

  /** Makes `gate_proj` and `up_proj` [inner, embed], `down_proj` [embed, inner]. */
  constructor(scope: Scope, { embed, inner, bias = false, initialize }: GatedFeedForwardConfig) {
    const project = (name: string, inputs: number, outputs: number) =>
      new Linear(scope.child(name), { inputs, outputs, bias, outputsFirst: true, initialize });
    this.#gate = project("gate_proj", embed, inner);
    this.#up = project("up_proj", embed, inner);
    this.#down = project("down_proj", inner, embed);
  }

  /** Shapes: x and residual [B, T, C]; result `residual + mlp(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor): Tensor {
    const gated = swiglu(tape, this.#gate.forward(tape, x), this.#up.forward(tape, x));
    return this.#down.forward(tape, gated, { residual });
  }
}
