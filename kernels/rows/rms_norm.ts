/**
 * RMSNorm: `out = x * rstd * gamma` for each row, with `rstd = 1 / sqrt(mean(x^2) + epsilon)`.
 *
 * Source: Zhang and Sennrich, Root Mean Square Layer Normalization, NeurIPS 2019, equation 4.
 *
 * @module
 */
import * as onnx from "../onnx/ops.ts";
import type { Span } from "../memory/span.ts";
import { Fold } from "../wasm/fold.ts";
import { load } from "../wasm/loads.ts";
import { type RowGradientSizes, RowKernel, type RowSizes } from "./kernel.ts";

/** `out = x * rstd * gamma` for each row; rstd [rows] is kept for the backward pass. */
export interface RmsNormArgs extends RowSizes {
  /** [rows, cols]. */
  readonly x: Span;
  /** [cols]: gain. */
  readonly gamma: Span;
  /** [rows, cols]; may be `x`. */
  readonly out: Span;
  /** [rows]: 1 / root mean square of each row. */
  readonly rstd: Span;
  /** Added to the mean square before its root is taken. */
  readonly epsilon: number;
}

/** dGamma is added to, rows in order, or has the sums of units. */
export interface RmsNormBackwardArgs extends RowGradientSizes {
  /** [rows, cols]: what was normalised. */
  readonly x: Span;
  /** [cols]: gain of the forward pass. */
  readonly gamma: Span;
  /** [rows]: kept by the forward pass. */
  readonly rstd: Span;
  /** [rows, cols]: gradient of the result. */
  readonly dOut: Span;
  /** [rows, cols]; may be `dOut`, unless it is added to. */
  readonly dX: Span;
  /** [cols], or [units, cols]. */
  readonly dGamma: Span;
}

/** Rows of mean square 1, scaled. Two passes over each row. */
export const RMS_NORM: RowKernel<RmsNormArgs, "out" | "rstd"> = new RowKernel({
  name: "rmsNorm",
  operands: {
    x: ["in", "[rows, cols]"],
    gamma: ["in", "[cols]"],
    out: ["out", "[rows, cols]"],
    rstd: ["out", "[rows]"],
    epsilon: "number",
  },
  inPlace: ["out", "x"],
  reference({ cols, x, gamma, out, rstd, epsilon }) {
    const inverse = 1 / Math.sqrt(x.reduce((a, value) => a + value ** 2, 0) / cols + epsilon);
    x.forEach((value, c) => out[c] = value * inverse * gamma[c]);
    rstd[0] = inverse;
  },
  emit(k, { cols, x, gamma, out, rstd, epsilon }) {
    const count = k.let(cols.toF32().splat());
    return () => {
      const squares = new Fold(k, "sum");
      k.vectors(cols, (v) => {
        const value = k.let(v.load(x));
        squares.addProduct(v, value, value);
      });
      const meanSquare = squares.result().div(count);
      const inverse = k.let(k.constant(1).div(meanSquare.add(epsilon.splat()).sqrt()));
      k.vectors(cols, (v) => v.store(out, v.load(x).mul(inverse).mul(v.load(gamma))));
      k.storeF32(rstd, inverse.lane(0));
    };
  },
  lower({ x, gamma, epsilon }) {
    const meanSquare = onnx.reduce("ReduceMean", onnx.mul(x, x), [-1]);
    return onnx.mul(onnx.div(x, onnx.unary("Sqrt", onnx.add(meanSquare, epsilon))), gamma);
  },
  // The terms of the mean are positive, so its relative error is that of a term, and the root halves it.
  error({ cols, additions, epsilon }) {
    const rstd = 1 / Math.sqrt(epsilon), relative = additions / 2 + 4;
    return { out: (relative + 2) * Math.min(rstd, Math.sqrt(cols)), rstd: relative * rstd };
  },
});

/** With h = x rstd and g = dOut gamma: `dX = rstd (g - h mean(g h))`. Two passes over each row. */
export const RMS_NORM_BACKWARD: RowKernel<RmsNormBackwardArgs, "dX" | "dGamma"> = new RowKernel({
  name: "rmsNormBackward",
  operands: {
    x: ["in", "[rows, cols]"],
    gamma: ["in", "[cols]"],
    rstd: ["in", "[rows]"],
    dOut: ["in", "[rows, cols]"],
    dX: ["target", "[rows, cols]"],
    dGamma: ["sum", "[cols]"],
  },
  inPlace: ["dX", "dOut"],
  reference({ cols, x, gamma, rstd: [rstd], dOut, dX, dGamma }) {
    const h = x.map((value) => value * rstd), g = dOut.map((value, c) => value * gamma[c]);
    const meanGh = g.reduce((a, value, c) => a + value * h[c], 0) / cols;
    for (let c = 0; c < cols; c++) {
      dGamma[c] += dOut[c] * h[c];
      dX[c] = rstd * (g[c] - h[c] * meanGh);
    }
  },
  emit(k, { cols, x, gamma, rstd, dOut, dX, dGamma, accumulate }) {
    const count = k.let(cols.toF32().splat());
    return () => {
      const inverse = k.let(load.splat(rstd)), sumGh = new Fold(k, "sum");
      k.vectors(cols, (v) => {
        const d = k.let(v.load(dOut)), h = k.let(v.load(x).mul(inverse));
        sumGh.addProduct(v, d.mul(v.load(gamma)), h);
        v.store(dGamma, d.madd(h, v.load(dGamma)));
      });
      const meanGh = k.let(sumGh.result().div(count));
      k.vectors(cols, (v) => {
        const h = v.load(x).mul(inverse), g = v.load(dOut).mul(v.load(gamma));
        const gradient = h.nmadd(meanGh, g).mul(inverse);
        v.store(dX, accumulate ? v.load(dX).add(gradient) : gradient);
      });
    };
  },
  // |h| <= 1, |g| <= 1: dX is at most 2.
  error: ({ rows, additions }) => ({ dX: 2 * (additions + 7), dGamma: (rows + 3) * (rows + 1) }),
});
