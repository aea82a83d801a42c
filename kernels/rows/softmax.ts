/**
 * Softmax of each row, relative to its largest score.
 *
 * @module
 */
import { softmax } from "../onnx/ops.ts";
import { exponentials } from "../reference/math.ts";
import type { Span } from "../memory/span.ts";
import { Fold } from "../wasm/fold.ts";
import { softmaxRow } from "../wasm/softmax_row.ts";
import { RowKernel, type RowSizes } from "./kernel.ts";

/** Row-wise softmax. */
export interface SoftmaxArgs extends RowSizes {
  /** [rows, cols]: scores. */
  readonly x: Span;
  /** [rows, cols]: probabilities; may be `x`. */
  readonly out: Span;
}

/** `dX = out * (dOut - sum(out * dOut))` for each row. */
export interface SoftmaxBackwardArgs extends RowSizes {
  /** [rows, cols]: probabilities of the forward pass. */
  readonly out: Span;
  /** [rows, cols]: their gradient. */
  readonly dOut: Span;
  /** [rows, cols]: gradient of the scores, overwritten; may be `dOut`. */
  readonly dX: Span;
}

/** Rows of probabilities. Three passes over each row, one exponential per element. */
export const SOFTMAX: RowKernel<SoftmaxArgs, "out"> = new RowKernel({
  name: "softmax",
  operands: { x: ["in", "[rows, cols]"], out: ["out", "[rows, cols]"] },
  inPlace: ["out", "x"],
  reference({ x, out }) {
    const { powers, total } = exponentials(x);
    powers.forEach((power, c) => out[c] = power / total);
  },
  emit: (k, { cols, x, out }) => () => {
    const { total } = softmaxRow(k, { x, out, cols });
    const inverse = k.let(k.constant(1).div(total));
    k.vectors(cols, (v) => v.store(out, v.load(out).mul(inverse)));
  },
  lower: ({ x }) => softmax(x),
  // Of the difference to the maximum, which is at most 2, of exp, of the terms of the sum, and of the division.
  error: ({ additions }) => ({ out: 2 * (2 + 3) + additions + 3 }),
});

/** Gradient of the scores. Two passes over each row. */
export const SOFTMAX_BACKWARD: RowKernel<SoftmaxBackwardArgs, "dX"> = new RowKernel({
  name: "softmaxBackward",
  operands: { out: ["in", "[rows, cols]"], dOut: ["in", "[rows, cols]"], dX: ["out", "[rows, cols]"] },
  inPlace: ["dX", "dOut"],
  reference({ out, dOut, dX }) {
    const dot = out.reduce((a, value, c) => a + value * dOut[c], 0);
    out.forEach((value, c) => dX[c] = value * (dOut[c] - dot));
  },
  emit: (k, { cols, out, dOut, dX }) => () => {
    const dot = new Fold(k, "sum");
    k.vectors(cols, (v) => dot.addProduct(v, v.load(out), v.load(dOut)));
    const sum = dot.result();
    k.vectors(cols, (v) => v.store(dX, v.load(out).mul(v.load(dOut).sub(sum))));
  },
  error: ({ cols, additions }) => ({ dX: (additions + 4) * (cols + 1) }),
});
