/**
 * The router of a mixture of experts: which experts each token goes to, decided within fixed units of tokens.
 *
 * A unit is one eighth of a sequence (the whole sequence where 8 does not divide it), whatever part of the batch a
 * device holds: so every layout makes the same choices, fills the same slots and drops the same tokens.
 */
import {
  type DType,
  type RouteArgs,
  type RouteSizes,
  SOFTMAX,
  SOFTMAX_BACKWARD,
  type Span,
} from "../../kernels/mod.ts";
import type { BackwardPass } from "../entry.ts";
import type { Gradients } from "../gradients.ts";
import type { AuxiliaryLoss } from "../loss.ts";
import { formatShape } from "../shape.ts";
import { SEQUENCE_UNITS } from "../exact_sums.ts";
import type { Tape } from "../tape.ts";
import { Tensor } from "../tensor.ts";

/** How a router chooses. */
export interface RouterOptions {
  /** Of its layer, in reports. */
  readonly name: string;
  /** Experts that a token goes to. */
  readonly choices: number;
  /** Slots of an expert, as a multiple of what an even spread would need. */
  readonly capacityFactor: number;
  /** Weight of the load loss. */
  readonly auxLossCoefficient: number;
  /** Weights of a token's choices are shares in their sum; by default they are if there are several. */
  readonly sharesWeights?: boolean;
  /** Experts that get no tokens; a token that would choose one goes to its next best. */
  readonly deadExperts: readonly number[];
}

/** The memory of a routing plan, filled by each forward pass. */
export interface RoutingPlan extends RouteSizes {
  /** [tokens, choices]: what each choice counts for; the only part with a gradient. */
  readonly weights: Tensor;
  /** i32 [tokens, choices]: row of a choice in [experts, units, capacity], negative if dropped. */
  readonly slots: Span;
  /** i32 [experts, units, capacity]: token of each row, negative if empty. */
  readonly slotTokens: Span;
  /** [experts, units, capacity]: weight of each row, 0 if empty. */
  readonly slotWeights: Span;
}

/** Slots of an expert for a unit: `ceil(capacityFactor * choices * unitTokens / experts)`, at most `unitTokens`. */
export function expertCapacity(
  { capacityFactor, choices }: Pick<RouterOptions, "capacityFactor" | "choices">,
  { unitTokens, experts }: Pick<RouteSizes, "unitTokens" | "experts">,
): number {
  // The small number takes back what rounding adds to a product that is whole: 1.1 * 10 > 11.
  return Math.min(unitTokens, Math.ceil(capacityFactor * choices * unitTokens / experts - 1e-9));
}

/**
 * Sizes of the plan of logits [batch, steps, experts].
 *
 * @throws {RangeError} If it is not clear which tokens are neighbours: rows without sequences, or parts of sequences
 * that cannot be split into eighths.
 */
export function routeSizes(tape: Tape, logits: Tensor, options: RouterOptions): RouteSizes {
  const [batch, steps, experts] = logits.shape, { unitsPerRow = SEQUENCE_UNITS } = tape.placement;
  const isSplit = steps % unitsPerRow === 0;
  if (logits.shape.length !== 3) {
    throw new RangeError(
      `Cannot route ${logits.name} ${
        formatShape(logits.shape)
      }: it must be [batch, steps, experts], as experts ` +
        `are chosen within parts of a sequence`,
    );
  }
  if (!isSplit && unitsPerRow !== SEQUENCE_UNITS) {
    throw new RangeError(
      `Cannot route ${logits.name} ${
        formatShape(logits.shape)
      }: a sequence that is spread over devices must have a ` +
        `multiple of 8 tokens`,
    );
  }
  const perRow = isSplit ? unitsPerRow : 1, unitTokens = steps / perRow;
  const capacity = expertCapacity(options, { unitTokens, experts });
  const { choices, sharesWeights } = options;
  return { units: batch * perRow, unitTokens, experts, choices, capacity, sharesWeights };
}

/**
 * Chooses the experts of each token from `p = softmax(logits)`, dead experts left out.
 *
 * A token takes its `choices` most probable experts. Weight of a choice: `p[e]` if there is one choice (Switch), else
 * `p[e] / sum of the chosen p` (Mixtral), dropped choices included in the sum. Load loss of a unit, per token:
 * `coefficient * E * sum over e of f[e] * P[e]`, with E live experts, f[e] the share of the unit's choices that fell on
 * e (drops included, a constant in the backward pass) and P[e] the mean of p[e] over the unit. It is 1 x coefficient
 * when the load is even.
 *
 * Shapes: logits [batch, steps, experts], weights [tokens, choices].
 * Sources: Shazeer et al. 2017, section 2.1; Fedus et al. 2021, equations 4 to 6; Jiang et al., Mixtral, 2024, 2.1.
 */
export function route(tape: Tape, logits: Tensor, options: RouterOptions): RoutingPlan {
  const { name, deadExperts, auxLossCoefficient } = options, sizes = routeSizes(tape, logits, options);
  const { units, unitTokens, experts, choices } = sizes, memory = planMemory(tape, logits, options);
  const { weights, mask, losses, slots, slotTokens, slotWeights, wanted } = memory;
  const numLive = experts - deadExperts.length;
  const lossFactor = auxLossCoefficient * numLive / (unitTokens * choices);
  const spans = { ...memory, weights: weights.span };
  const args = { ...sizes, ...spans, lossFactor }, matrix = { rows: units * unitTokens, cols: experts };
  const { probabilities } = memory,
    silence = { ...matrix, x: logits.span, bias: mask, out: probabilities };
  const scores = { ...matrix, x: numLive < experts ? probabilities : logits.span, out: probabilities };
  tape.auxiliary.push(auxiliaryLoss(tape, { ...sizes, name, losses, wanted }));
  tape.record({
    name,
    inputs: [logits],
    output: weights,
    forward: () => {
      if (numLive < experts) tape.backend.addBias(silence);
      tape.backend.row(SOFTMAX, scores);
      tape.backend.route(args);
    },
    backward: (gradients) => routeBackward(tape, { logits, weights, args, gradients }),
  });
  return { ...sizes, weights, slots, slotTokens, slotWeights };
}

function routeBackward(
  tape: Tape,
  parts: { logits: Tensor; weights: Tensor; args: RouteArgs; gradients: Gradients },
): BackwardPass {
  const { args, gradients } = parts, backend = tape.backend;
  const target = gradients.inputOverwritten(parts.logits), dWeights = gradients.output(parts.weights);
  if (target === undefined) return {};
  const dProbabilities = target.span, gradient = { ...args, dWeights, dProbabilities };
  const softmax = {
    ...{ rows: args.units * args.unitTokens, cols: args.experts, out: args.probabilities },
    ...{ dOut: dProbabilities, dX: dProbabilities },
  };
  return {
    input: () => {
      gradient.lossFactor = args.lossFactor * tape.lossScale;
      backend.routeBackward(gradient);
      backend.row(SOFTMAX_BACKWARD, softmax);
      target.after?.();
    },
  };
}

function planMemory(tape: Tape, logits: Tensor, options: RouterOptions) {
  const { units, unitTokens, experts, choices, capacity } = routeSizes(tape, logits, options);
  const { name, deadExperts } = options, tokens = units * unitTokens, numSlots = experts * units * capacity;
  const ids = (what: string, length: number) => tape.scratch(`${name} ${what}`, length, "activations", "i32");
  // Not activations, which the next layer may overwrite where they are recomputed: these are read between steps.
  const kept = (what: string, length: number, dtype: DType = "f32") =>
    tape.scratch(`${name} ${what}`, length, "workspace", dtype);
  const mask = kept("mask", experts);
  if (tape.heap.memory !== undefined) {
    tape.heap.f32(mask).forEach((_, e, all) => all[e] = deadExperts.includes(e) ? -Infinity : 0);
  }
  return {
    weights: tape.output(`${name} weights`, [tokens, choices], [logits], "f32"),
    losses: kept("losses", units),
    mask,
    probabilities: tape.scratch(`${name} probabilities`, tokens * experts),
    chosen: ids("choices", tokens * choices),
    slots: ids("slots", tokens * choices),
    slotTokens: ids("tokens of slots", numSlots),
    slotWeights: tape.scratch(`${name} weights of slots`, numSlots),
    wanted: kept("load", units * experts, "i32"),
  };
}

function auxiliaryLoss(
  tape: Tape,
  plan: RouteSizes & { readonly name: string; readonly losses: Span; readonly wanted: Span },
): AuxiliaryLoss {
  const { name, units, experts, capacity, losses } = plan;
  return {
    name,
    rows: new Tensor({ name: `${name} losses`, shape: [units], span: losses, requiresGradient: false }),
    load: () => {
      const wanted = tape.heap.i32(plan.wanted), kept = Array<number>(experts).fill(0), dropped = [...kept];
      for (let i = 0; i < units * experts; i++) {
        const fits = Math.min(wanted[i], capacity);
        kept[i % experts] += fits;
        dropped[i % experts] += wanted[i] - fits;
      }
      return { kept, dropped };
    },
  };
}
