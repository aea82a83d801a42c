import type { BlockConfig } from "./layers.ts";
import { add } from "./ops/elementwise.ts";
import { combineTokens, dispatchTokens } from "./ops/experts.ts";
import { groupedBias, groupedLinear } from "./ops/grouped_linear.ts";
import { linear } from "./ops/linear.ts";
import { route, type RouterOptions } from "./ops/router.ts";
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

/** The same linear layer of several experts: `weight` and `bias` in each of their scopes. */
class ExpertLinear {
  readonly #weights: readonly Parameter[];
  readonly #biases: readonly Parameter[];
  readonly #hooks: LayerHooks | undefined;

  constructor(scopes: readonly Scope[], sizes: { inputs: number; outputs: number; initialize: Initializer }) {
    const { inputs, outputs, initialize } = sizes;
    this.#weights = scopes.map((scope) => scope.parameter("weight", [inputs, outputs], initialize));
    this.#biases = scopes.map((scope) => scope.parameter("bias", [outputs], constant(0)));
    // A plan treats all experts alike, so what stands around the first stands around all of them.
    this.#hooks = scopes.map((scope) => scope.hooks)[0];
  }

  /** Shapes: x [experts held, units, capacity, inputs], result [..., outputs]. */
  forward(tape: Tape, x: Tensor, activation?: "gelu"): Tensor {
    const weights = this.#weights, { input, output } = this.#hooks ?? {}, rows = input?.(tape, x) ?? x;
    if (output === undefined) return groupedLinear(tape, rows, { weights, biases: this.#biases, activation });
    const sum = output(tape, groupedLinear(tape, rows, { weights, biases: [] }));
    return groupedBias(tape, sum, this.#biases);
  }
}

/**
 * A feed-forward layer of experts of which each token uses a few: stands where `FeedForward` does.
 *
 * A router (`router.weight`) chooses the experts of each token within units of one eighth of a sequence; an expert
 * (`experts.E.c_fc`, `experts.E.c_proj`) has slots for `capacityFactor` times its even share of a unit. Tokens that find
 * it full pass by on the residual stream, and are counted. See `route` for the rules and the load loss.
 *
 * Sizes are static: an expert computes all its slots, empty ones too.
 * Cost: capacityFactor x topKExperts times that of a `FeedForward`, plus 2 C operations per token and expert.
 */
export class MoeFeedForward {
  readonly #router: Parameter;
  readonly #routing: RouterOptions;
  readonly #hooks: LayerHooks | undefined;
  readonly #up: ExpertLinear;
  readonly #down: ExpertLinear;

  /**
   * Makes the router and the experts that this device holds.
   *
   * @throws {RangeError} If the mixture makes no sense; see {@link checkMixture}.
   */
  constructor(scope: Scope, config: MoeConfig) {
    checkMixture(config);
    const { embed, experts, residualDeviation, topKExperts = 1, capacityFactor = 1.25 } = config;
    const { auxLossCoefficient = 0.01, deadExperts = [] } = config, router = scope.child("router");
    this.#router = router.parameter("weight", [embed, experts], normal(0.02));
    this.#routing = {
      ...{ name: router.path, choices: topKExperts, capacityFactor, auxLossCoefficient },
      deadExperts: [...new Set(deadExperts)],
    };
    this.#hooks = scope.hooks;
    const held = this.#hooks?.experts?.held ?? Array.from({ length: experts }, (_, e) => e);
    const scopes = (name: string) => held.map((e) => scope.child("experts").child(`${e}`).child(name));
    this.#up = new ExpertLinear(scopes("c_fc"), {
      ...{ inputs: embed, outputs: 4 * embed, initialize: normal(0.02) },
    });
    this.#down = new ExpertLinear(scopes("c_proj"), {
      ...{ inputs: 4 * embed, outputs: embed, initialize: normal(residualDeviation) },
    });
  }

  /** Shapes: x and residual [B, T, C]; result `residual + mixture(x)`. */
  forward(tape: Tape, x: Tensor, residual: Tensor): Tensor {
    const { input, output, experts } = this.#hooks ?? {}, whole = input?.(tape, x) ?? x, { shape } = whole;
    // In float32, as which experts come first hangs on small differences (Fedus et al. 2021, section 2.4).
    const scores = linear(tape, whole, this.#router, { dtype: "f32" });
    const plan = route(tape, scores, this.#routing);
    const rows = dispatchTokens(tape, whole, plan), arrived = experts?.dispatch(tape, rows) ?? rows;
    const results = this.#down.forward(tape, this.#up.forward(tape, arrived, "gelu"));
    const back = experts?.combine(tape, results) ?? results;
    if (output === undefined && tape.exact === undefined) {
      return combineTokens(tape, back, plan, { shape, residual });
    }
    // Apart, and not in one rounding, as where this device's rows of the sum are still to be cut out.
    const mixed = combineTokens(tape, back, plan, { shape });
    return add(tape, residual, output?.(tape, mixed) ?? mixed);
  }
}
