import type { Shape } from "../shape.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import type { RoutingPlan } from "./router.ts";

/**
 * Copies the rows of tokens to the slots that their choices got; empty slots are 0. Backward: a token's gradient is the
 * sum of those of its slots, in the order of its choices.
 *
 * Shapes: x [batch, steps, C], result [experts, units, capacity, C].
 */
export function dispatchTokens(tape: Tape, x: Tensor, plan: RoutingPlan): Tensor {
  const { units, unitTokens, experts, choices, capacity, slots, slotTokens } = plan, backend = tape.backend;
  const cols = x.shape.at(-1)!, out = tape.output("dispatch", [experts, units, capacity, cols], [x]);
  const args = {
    ...{ rows: experts * units * capacity, cols, count: 1 },
    ...{ ids: slotTokens, table: x.span, out: out.span },
  };
  return tape.record({
    name: "dispatch",
    inputs: [x],
    output: out,
    forward: () => backend.combineRows(args),
    backward: (gradients) => {
      const target = gradients.input(x), table = gradients.output(out);
      if (target === undefined) return {};
      const sizes = { rows: units * unitTokens, cols, count: choices };
      const gradient = { ...sizes, ids: slots, table, out: target.span, accumulate: target.accumulate };
      return { input: () => backend.combineRows(gradient) };
    },
  });
}

/** What the results of experts become. */
export interface CombineOptions {
  /** Of the result: [batch, steps, C]. */
  readonly shape: Shape;
  /** Added: the residual stream. By default nothing. */
  readonly residual?: Tensor;
}

/**
 * `out[t] = residual[t] + sum over the choices i of t of weight[t][i] * rows[slot of (t, i)]`; a dropped choice adds
 * nothing. Backward: `dRows[slot] = weight * dOut[t]`, `dWeight[t][i] = dOut[t] . rows[slot]`, `dResidual = dOut`.
 *
 * Shapes: rows [experts, units, capacity, C], residual and result [batch, steps, C].
 */
export function combineTokens(tape: Tape, rows: Tensor, plan: RoutingPlan, options: CombineOptions): Tensor {
  const { slots, slotTokens, slotWeights, weights } = plan, { shape, residual } = options, { backend } = tape;
  const inputs = [rows, weights, residual].filter((tensor) => tensor !== undefined);
  const cols = shape.at(-1)!, out = tape.output("combine", shape, inputs);
  const sizes = { rows: plan.units * plan.unitTokens, cols, count: plan.choices };
  const tokens = { ...sizes, ids: slots, table: rows.span };
  const args = { ...tokens, weights: weights.span, out: out.span, accumulate: residual !== undefined };
  return tape.record({
    name: "combine",
    inputs,
    output: out,
    forward: () => {
      if (residual !== undefined) backend.copy(residual.span, out.span);
      backend.combineRows(args);
    },
    backward: (gradients) => {
      const dOut = gradients.output(out), dRows = gradients.input(rows);
      const dWeights = gradients.inputOverwritten(weights);
      const addResidual = residual && gradients.pass(out, residual);
      const scatter = dRows && {
        ...{ rows: slotTokens.length, cols, count: 1, ids: slotTokens, weights: slotWeights, table: dOut },
        ...{ out: dRows.span, accumulate: dRows.accumulate },
      };
      const dots = dWeights && { ...tokens, x: dOut, out: dWeights.span };
      return {
        input: () => {
          if (scatter !== undefined) backend.combineRows(scatter);
          if (dots !== undefined) backend.choiceDots(dots);
          dWeights?.after?.();
          addResidual?.();
        },
      };
    },
  });
}
