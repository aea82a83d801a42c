import { RMS_NORM, RMS_NORM_BACKWARD } from "../../kernels/mod.ts";
import type { ExactSums } from "../exact_sums.ts";
import { formatShape } from "../shape.ts";
import type { Tape } from "../tape.ts";
import type { Parameter, Tensor } from "../tensor.ts";
import { rmsNorm, type RmsNormOptions } from "./rows.ts";
import { reshape } from "./elementwise.ts";

/**
 * RMSNorm of every head, with one gain for all: what Qwen3 does to queries and keys.
 *
 * Shapes: x [B, T, H D], gamma [D], result as x.
 * Source: Dehghani et al., Scaling Vision Transformers to 22 Billion Parameters, 2023, section 2 (query and key norms).
 *
 * @throws {RangeError} If the last dim of x is no multiple of D.
 */
export function headNorm(tape: Tape, x: Tensor, options: RmsNormOptions): Tensor {
  const { gamma } = options, { name, shape } = x, [headDim] = gamma.shape, heads = shape[2] / headDim;
  if (shape.length !== 3 || !Number.isInteger(heads)) {
    throw new RangeError(
      `Cannot normalise heads of ${headDim} in ${name} ${
        formatShape(shape)
      }: the last dim must be a multiple of ${headDim}`,
    );
  }
  if (tape.exact !== undefined) return exactHeadNorm(tape, x, options, tape.exact);
  const rows = reshape(tape, x, [shape[0], shape[1], heads, headDim]);
  return reshape(tape, rmsNorm(tape, rows, options), shape);
}

/**
 * In exact numerics, sums over rows are known for each head before they are summed over the heads, in the order of the
 * chunks that devices may hold.
 *
 * Cost: a copy of x, for what each row gives to the gradient of the gain.
 */
function exactHeadNorm(tape: Tape, x: Tensor, { gamma, epsilon }: RmsNormOptions, exact: ExactSums): Tensor {
  const { backend } = tape, [batch, tokens, cols] = x.shape, headDim = gamma.shape[0], rows = batch * tokens;
  const name = gamma.name.replace(/\.weight$/, ""), out = tape.output(name, x.shape, [x, gamma]);
  const sizes = { rows: rows * cols / headDim, cols: headDim };
  const shared = { ...sizes, x: x.span, gamma: gamma.span, rstd: tape.scratch(`${name} rstd`, sizes.rows) };
  const args = { ...shared, out: out.span, epsilon };
  return tape.record({
    name,
    inputs: [x, gamma],
    output: out,
    forward: () => backend.row(RMS_NORM, args),
    backward: (gradients) => {
      const dOut = gradients.output(out),
        target = gradients.input(x),
        terms = tape.scratch(`${name} terms`, rows * cols);
      const delta = { ...shared, dOut, dX: target?.span ?? dOut, accumulate: target?.accumulate };
      const addGain = gainGradient(tape, gamma, { exact, rows, cols, terms });
      return {
        input: () => backend.row(RMS_NORM_BACKWARD, { ...delta, dGamma: terms, units: sizes.rows }),
        weight: addGain,
      };
    },
  });
}

/** Adds up terms [rows, heads * width of a head]: over the rows, then over the heads. */
function gainGradient(
  tape: Tape,
  gamma: Parameter,
  { exact, rows, cols, terms }: { exact: ExactSums; rows: number; cols: number; terms: Tensor["span"] },
): (() => void) | undefined {
  if (!gamma.isTrained) return undefined;
  const { backend } = tape, { units, sums, fold } = exact.unitSums(rows, cols);
  const ofHeads = tape.scratch(`${gamma.name} of heads`, cols), { tree } = gamma.sumChunks!;
  const sum = { rows, cols, x: terms, out: sums, units };
  const overHeads = { cols: gamma.shape[0], x: ofHeads, out: gamma.gradient, tree };
  return () => {
    backend.sumRows(sum);
    backend.fill(0, ofHeads);
    fold(ofHeads);
    backend.foldRows(overHeads);
  };
}
