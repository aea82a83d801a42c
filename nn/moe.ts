import type { BlockConfig } from "./layers.ts";
import { add } from "./ops/elementwise.ts";
import { combineTokens, dispatchTokens } from "./ops/experts.ts";
import { groupedBias, groupedLinear } from "./ops/grouped_linear.ts";
import { linear } from "./ops/linear.ts";
import { route, type RouterOptions } from "./ops/router.ts";
import { swiglu } from "./ops/swiglu.ts";
import { constant, type Initializer, type LayerHooks, normal, type Scope } from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Parameter, Tensor } from "./tensor.ts";

/** How many experts a model has and how tokens are spread over them. */
export interface MixtureConfig {
  /** Number of experts. */
  readonly experts: number;
  /** Experts that a token goes to. By default 1. */
  readonly topKExperts?: number;
  /** Slots of an expert, as a multiple of what an even spread would need. By default 1.25. */
  readonly capacityFactor?: number;
  /** Weight of the load loss. By default 0.01. */
  readonly auxLossCoefficient?: number;
  /** Weights of a token's choices are shares in their sum; by default they are if there are several. */
  readonly sharesWeights?: boolean;
  /** Experts that get no tokens: theirs go to their next best. By default none. */
  readonly deadExperts?: readonly number[];
}

/** Sizes of a {@link MoeFeedForward}. */
export type MoeConfig = Pick<BlockConfig, "embed" | "residualDeviation"> & MixtureConfig;

/**
 * Checks a mixture before anything is built.
 *
 * @throws {RangeError} If a number makes no sense, or fewer experts live than a token is to go to.
 */
export function checkMixture(config: MixtureConfig): void {
  const { experts, topKExperts = 1, capacityFactor = 1.25, auxLossCoefficient = 0.01, deadExperts = [] } =
    config;
  const fail = (why: string) => {
    throw new RangeError(`Cannot mix ${experts} experts: ${why}`);
  };
  if (!Number.isInteger(experts) || experts < 1) fail("experts must be a whole number from 1");
  if (!Number.isInteger(topKExperts) || topKExperts < 1) fail("topKExperts must be a whole number from 1");
  if (!(capacityFactor > 0 && capacityFactor < Infinity)) {
    fail(`capacityFactor ${capacityFactor} must be above 0`);
  }
  if (!(auxLossCoefficient >= 0 && auxLossCoefficient < Infinity)) {
    fail(`auxLossCoefficient ${auxLossCoefficient} must not be negative`);
  }
  const unknown = deadExperts.find((e) => !Number.isInteger(e) || e < 0 || e >= experts);
  if (unknown !== undefined) fail(`there is no expert ${unknown} that could be dead`);
  const numLive = experts - new Set(deadExperts).size;
  if (numLive < topKExperts) fail(`a token goes to ${topKExperts} of them, and ${numLive} live`);
}

/** Sizes of an {@link ExpertLinear}. */
interface ExpertLinearConfig {
  readonly inputs: number;
  readonly outputs: number;
  readonly initialize: Initializer;
  /** The weight is [outputs, inputs], and there is no bias. */
  readonly outputsFirst?: boolean;
}

/** The same linear layer of several experts: `weight` and `bias` in each of their scopes. */
class ExpertLinear {
  readonly #weights: readonly Parameter[];
  readonly #biases: readonly Parameter[];
  readonly #outputsFirst: boolean;
  readonly #hooks: LayerHooks | undefined;

  constructor(
    scopes: readonly Scope[],
    { inputs, outputs, initialize, outputsFirst = false }: ExpertLinearConfig,
  ) {
    const shape = outputsFirst ? [outputs, inputs] : [inputs, outputs];
    const use = { inputsDim: outputsFirst ? 1 : 0, of: "layer" } as const;
    this.#outputsFirst = outputsFirst;
    this.#weights = scopes.map((scope) => scope.parameter("weight", shape, initialize, use));
    this.#biases = outputsFirst ? [] : scopes.map((scope) => scope.parameter("bias", [outputs], constant(0)));
    // A plan treats all experts alike, so what stands around the first stands around all of them.
    this.#hooks = scopes.map((scope) => scope.hooks)[0];
  }

  /** Shapes: x [experts held, units, capacity, inputs], result [..., outputs]. */
  forward(tape: Tape, x: Tensor, activation?: "gelu"): Tensor {
    const weights = this.#weights, outputsFirst = this.#outputsFirst, biases = this.#biases;
    const { input, output } = this.#hooks ?? {}, rows = input?.(tape, x) ?? x;
    if (output === undefined) return groupedLinear(tape, rows, { weights, outputsFirst, biases, activation });
    const sum = output(tape, groupedLinear(tape, rows, { weights, outputsFirst, biases: [] }));
    return biases.length === 0 ? sum : groupedBias(tape, sum, biases);
  }
}

/** What an expert does to the rows that it gets [experts held, units, capacity, C]. */
export type ExpertBody = (tape: Tape, rows: Tensor) => Tensor;

/** How experts are named and built. */
export interface ExpertForm {
  /** Scope of the router in that of the layer. */
  readonly router: string;
  /** The router's weight is [experts, embed]; by default [embed, experts]. */
  readonly outputsFirst?: boolean;
  /** Builds the held experts in their scopes: `experts.E`. */
  build(scopes: readonly Scope[], config: MoeConfig): ExpertBody;
}

/** Two layers with a GELU between, four times as wide inside: `c_fc`, `c_proj`. */
export const GELU_EXPERTS: ExpertForm = {
  router: "router",
  build: (scopes, { embed, residualDeviation }) => {
    const layer = (name: string, inputs: number, outputs: number, deviation: number) =>
      new ExpertLinear(scopes.map((scope) => scope.child(name)), {
        inputs,
        outputs,
        initialize: normal(deviation),
      });
    const up = layer("c_fc", embed, 4 * embed, 0.02),
      down = layer("c_proj", 4 * embed, embed, residualDeviation);
    return (tape, rows) => down.forward(tape, up.forward(tape, rows, "gelu"));
  },
};

/** SwiGLU of `inner` units; weights are [outputs, inputs]. */
export function gatedExperts(
  { router, names: [gate, up, down], inner, initialize }: {
    readonly router: string;
    readonly names: readonly [gate: string, up: string, down: string];
    readonly inner: number;
    readonly initialize: Initializer;
  },
): ExpertForm {
  return {
    router,
    outputsFirst: true,
    build: (scopes, { embed }) => {
      const layer = (name: string, inputs: number, outputs: number) =>
        new ExpertLinear(scopes.map((scope) => scope.child(name)), {
          inputs,
          outputs,
          initialize,
          outputsFirst: true,
        });
      const gated = layer(gate, embed, inner),
        plain = layer(up, embed, inner),
        last = layer(down, inner, embed);
      return (tape, rows) =>
        last.forward(tape, swiglu(tape, gated.forward(tape, rows), plain.forward(tape, rows)));
    },
  };
}

/**
 * A feed-forward layer of experts of which each token uses a few: stands where `FeedForward` does.
 *
 * A router chooses the experts of each token within units of one eighth of a sequence; an expert (`experts.E`) has slots for `capacityFactor` times its even share of a unit. Tokens that find
 * it full pass by on the residual stream, and are counted. See `route` for the rules and the load loss.
 *
 * Sizes are static: an expert computes all its slots, empty ones too.
 * Cost: capacityFactor x topKExperts times that of a `FeedForward`, plus 2 C operations per token and expert.
 */
export class MoeFeedForward {
  readonly #router: Parameter;
  readonly #routing: RouterOptions;
  readonly #hooks: LayerHooks | undefined;
  readonly #routerFirst: boolean;
  readonly #experts: ExpertBody;

  /**
   * Makes the router and the experts that this device holds.
   *
   * @throws {RangeError} If the mixture makes no sense; see {@link checkMixture}.
   */
  constructor(scope: Scope, config: MoeConfig, form: ExpertForm = GELU_EXPERTS) {
    checkMixture(config);
    const { embed, experts, topKExperts = 1, capacityFactor = 1.25, sharesWeights } = config;
    const { auxLossCoefficient = 0.01, deadExperts = [] } = config, router = scope.child(form.router);
    this.#routerFirst = form.outputsFirst ?? false;
    this.#router = router.parameter(
      "weight",
      form.outputsFirst ? [experts, embed] : [embed, experts],
      normal(0.02),
    );
    this.#routing = {
      ...{ name: router.path, choices: topKExperts, capacityFactor, auxLossCoefficient, sharesWeights },
      deadExperts: [...new Set(deadExperts)],
    };
    this.#hooks = scope.hooks;
    const held = this.#hooks?.experts?.held ?? Array.from({ length: experts }, (_, e) => e);
    this.#experts = form.build(held.map((e) => scope.child("experts").child(`${e}`)), config);
  }

  /** Shapes: x and residual [B, T, C]; result `residual + mixture(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor): Tensor {
    const { input, output, experts } = this.#hooks ?? {}, whole = input?.(tape, x) ?? x, { shape } = whole;
    // In float32, as which experts come first hangs on small differences (Fedus et al. 2021, section 2.4).
    const scores = linear(tape, whole, this.#router, { dtype: "f32", outputsFirst: this.#routerFirst });
    const plan = route(tape, scores, this.#routing);
    const rows = dispatchTokens(tape, whole, plan), arrived = experts?.dispatch(tape, rows) ?? rows;
    const results = this.#experts(tape, arrived);
    const back = experts?.combine(tape, results) ?? results;
    if (output === undefined && tape.exact === undefined) {
      return combineTokens(tape, back, plan, { shape, residual });
    }
    // Apart, and not in one rounding, as where this device's rows of the sum are still to be cut out.
    const mixed = combineTokens(tape, back, plan, { shape });
    return add(tape, residual, output?.(tape, mixed) ?? mixed);
  }
}
