import { onnx } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import { asMatrix, formatShape } from "../shape.ts";
import type { Parameter, Tensor } from "../tensor.ts";

/** Gain and shift of a layer norm. */
export interface LayerNormOptions {
  /** [C]: the gain. */
  readonly gamma: Parameter;
  /** [C]: the shift. */
  readonly beta: Parameter;
  /** Added to the variance of a row. */
  readonly epsilon: number;
}

/**
 * Normalises each row to mean 0 and variance 1, then scales and shifts.
 *
 * Shapes: x [..., C], gamma [C], beta [C], result as x.
 * Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
 *
 * @throws {RangeError} If the shapes do not fit.
 */
export function layerNorm(tape: Tape, x: Tensor, options: LayerNormOptions): Tensor {
  const { gamma, beta, epsilon } = options, backend = tape.backend, { rows, cols } = asMatrix(x.shape);
  if (gamma.shape[0] !== cols) {
    throw new RangeError(
      `Cannot normalise ${x.name} ${formatShape(x.shape)} by ${gamma.name} ${formatShape(gamma.shape)}: ` +
        `the last dims must be equal`,
    );
  }
  const name = gamma.name.replace(/\.weight$/, "");
  const out = tape.output(name, x.shape, [x, gamma, beta]);
  const mean = tape.scratch(`${name} mean`, rows), rstd = tape.scratch(`${name} rstd`, rows);
  const shared = { rows, cols, x: x.span, gamma: gamma.span, mean, rstd };
  const args = { ...shared, beta: beta.span, out: out.span, epsilon };
  return tape.record({
    name,
    inputs: [x, gamma, beta],
    output: out,
    forward: () => backend.layerNorm(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.input(x);
      // Without a taker of dX the kernel may overwrite dOut, which nobody reads afterwards.
      const deltas = { dOut, dX: target?.span ?? dOut, accumulate: target?.accumulate };
      const whole = { ...shared, ...deltas, dGamma: gamma.gradient, dBeta: beta.gradient };
      if (tape.exact === undefined) return { input: () => backend.layerNormBackward(whole) };
      const kept = (what: string) => (length: number) => tape.scratch(`${name} sums of ${what}`, length);
      const gains = tape.exact.keptUnitSums(rows, cols, kept("gains"));
      const shifts = tape.exact.keptUnitSums(rows, cols, kept("shifts"));
      const byUnit = { ...whole, dGamma: gains.sums, dBeta: shifts.sums, units: gains.units };
      return {
        input: () => backend.layerNormBackward(byUnit),
        weight: () => {
          gains.fold(gamma.gradient);
          shifts.fold(beta.gradient);
        },
      };
    },
    lower: (lowering) => {
      const [rowsOf, scale, bias] = [x, gamma, beta].map((tensor) => lowering.valueOf(tensor));
      return onnx.layerNorm(rowsOf, scale, { bias, epsilon });
    },
  });
}

/** Softmax over the last dim. */
export function softmax(tape: Tape, x: Tensor): Tensor {
  const backend = tape.backend,
    { rows, cols } = asMatrix(x.shape),
    out = tape.output("softmax", x.shape, [x]);
  const args = { rows, cols, x: x.span, out: out.span };
  return tape.record({
    name: "softmax",
    inputs: [x],
    output: out,
    forward: () => backend.softmax(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(x);
      if (target === undefined) return {};
      const gradient = { rows, cols, out: out.span, dOut, dX: target.span };
      return {
        input: () => {
          backend.softmaxBackward(gradient);
          target.after?.();
        },
      };
    },
    lower: (lowering) => onnx.softmax(lowering.valueOf(x)),
  });
}

/**
 * Rows of a table: `out[i] = table[ids[i]]`. Backward: `dTable[ids[i]] += dOut[i]`, rows in order.
 *
 * Shapes: ids i32 [...], table [V, C], result [..., C].
 *
 * @param onto Added to the rows (the sum of token and position embeddings).
 */
export function embedding(tape: Tape, ids: Tensor, table: Parameter, onto?: Tensor): Tensor {
  const backend = tape.backend, cols = table.shape[1], shape = [...ids.shape, cols];
  const { rows } = asMatrix(shape), inputs = onto === undefined ? [table] : [table, onto];
  if (onto !== undefined && formatShape(onto.shape) !== formatShape(shape)) {
    throw new RangeError(`Cannot add ${table.name} to ${onto.name}: its shape must be ${formatShape(shape)}`);
  }
  const name = table.name.replace(/\.weight$/, ""), out = tape.output(name, shape, inputs);
  const args = {
    rows,
    cols,
    ids: ids.span,
    table: table.span,
    out: out.span,
    accumulate: onto !== undefined,
  };
  return tape.record({
    name,
    inputs,
    output: out,
    forward: () => {
      if (onto !== undefined) backend.copy(onto.span, out.span);
      backend.gather(args);
    },
    backward: (gradients) => {
      const scatter = {
        ...{ rows, cols, ids: ids.span, x: gradients.output(out), table: table.gradient },
        tree: tape.exact?.rowTree(rows),
      };
      const deliver = onto && gradients.pass(out, onto);
      return {
        input: () => deliver?.(),
        weight: () => backend.scatterAdd(scatter),
      };
    },
    lower: (lowering) => {
      const chosen = onnx.gather(lowering.valueOf(table), lowering.valueOf(ids));
      return onto === undefined ? chosen : onnx.add(chosen, lowering.valueOf(onto));
    },
  });
}
