/**
 * Layer norm: `out = (x - mean) * rstd * gamma + beta` for each row.
 *
 * Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
 *
 * @module
 */
import { layerNorm } from "../onnx/ops.ts";
import type { Span } from "../memory/span.ts";
import { Fold } from "../wasm/fold.ts";
import { load } from "../wasm/loads.ts";
import { type RowGradientSizes, RowKernel, type RowSizes } from "./kernel.ts";

/** `out = (x - mean) * rstd * gamma + beta` for each row; mean and rstd [rows] are kept for the backward pass. */
export interface LayerNormArgs extends RowSizes {
  /** [rows, cols]. */
  readonly x: Span;
  /** [cols]: gain. */
  readonly gamma: Span;
  /** [cols]: shift. */
  readonly beta: Span;
  /** [rows, cols]; may be `x`. */
  readonly out: Span;
  /** [rows]: mean of each row. */
  readonly mean: Span;
  /** [rows]: 1 / standard deviation of each row. */
  readonly rstd: Span;
  /** Added to the variance before its root is taken. */
  readonly epsilon: number;
}

/** dGamma and dBeta are added to, rows in order, or are sums of units. */
export interface LayerNormBackwardArgs extends RowGradientSizes {
  /** [rows, cols]: what was normalised. */
  readonly x: Span;
  /** [cols]: gain of the forward pass. */
  readonly gamma: Span;
  /** [rows]: kept by the forward pass. */
  readonly mean: Span;
  /** [rows]: kept by the forward pass. */
  readonly rstd: Span;
  /** [rows, cols]: gradient of the result. */
  readonly dOut: Span;
  /** [rows, cols]; may be `dOut`, unless it is added to. */
  readonly dX: Span;
  /** [cols], or [units, cols]. */
  readonly dGamma: Span;
  /** [cols], or [units, cols]. */
  readonly dBeta: Span;
}

/** Rows of mean 0 and variance 1, scaled and shifted: the mean first, then the variance around it. */
export const LAYER_NORM: RowKernel<LayerNormArgs, "out" | "mean" | "rstd"> = new RowKernel({
  name: "layerNorm",
  operands: {
    x: ["in", "[rows, cols]"],
    gamma: ["in", "[cols]"],
    beta: ["in", "[cols]"],
    out: ["out", "[rows, cols]"],
    mean: ["out", "[rows]"],
    rstd: ["out", "[rows]"],
    epsilon: "number",
  },
  inPlace: ["out", "x"],
  reference({ cols, x, gamma, beta, out, mean, rstd, epsilon }) {
    const center = x.reduce((a, value) => a + value, 0) / cols;
    const variance = x.reduce((a, value) => a + (value - center) ** 2, 0) / cols;
    const inverse = 1 / Math.sqrt(variance + epsilon);
    x.forEach((value, c) => out[c] = (value - center) * inverse * gamma[c] + beta[c]);
    mean[0] = center;
    rstd[0] = inverse;
  },
  emit(k, { cols, x, gamma, beta, out, mean, rstd, epsilon }) {
    const count = k.let(cols.toF32().splat());
    return () => {
      const sum = new Fold(k, "sum");
      k.vectors(cols, (v) => sum.add(v, v.load(x)));
      const center = k.let(sum.result().div(count));
      const squares = new Fold(k, "sum");
      k.vectors(cols, (v) => {
        const distance = k.let(v.load(x).sub(center));
        squares.addProduct(v, distance, distance);
      });
      const variance = squares.result().div(count);
      const inverse = k.let(k.constant(1).div(variance.add(epsilon.splat()).sqrt()));
      k.vectors(cols, (v) => {
        v.store(out, v.load(x).sub(center).mul(inverse).madd(v.load(gamma), v.load(beta)));
      });
      k.storeF32(mean, center.lane(0));
      k.storeF32(rstd, inverse.lane(0));
    };
  },
  lower: ({ x, gamma, beta, epsilon }) => layerNorm(x, gamma, { bias: beta, epsilon }),
  error({ cols, additions, epsilon }) {
    const steps = additions + 4, rstd = 1 / Math.sqrt(epsilon), normal = Math.min(2 * rstd, Math.sqrt(cols));
    return {
      out: steps * rstd + (2 * steps + 8) * (normal + 1),
      mean: steps,
      rstd: rstd * (steps + 6 + steps * rstd),
    };
  },
});

/** With h = (x - mean) rstd and g = dOut gamma: `dX = rstd (g - mean(g) - h mean(g h))`. Two passes over each row. */
export const LAYER_NORM_BACKWARD: RowKernel<LayerNormBackwardArgs, "dX" | "dGamma" | "dBeta"> = new RowKernel(
  {
    name: "layerNormBackward",
    operands: {
      x: ["in", "[rows, cols]"],
      gamma: ["in", "[cols]"],
      mean: ["in", "[rows]"],
      rstd: ["in", "[rows]"],
      dOut: ["in", "[rows, cols]"],
      dX: ["target", "[rows, cols]"],
      dGamma: ["sum", "[cols]"],
      dBeta: ["sum", "[cols]"],
    },
    inPlace: ["dX", "dOut"],
    reference({ cols, x, gamma, mean: [mean], rstd: [rstd], dOut, dX, dGamma, dBeta }) {
      const h = x.map((value) => (value - mean) * rstd), g = dOut.map((value, c) => value * gamma[c]);
      const meanG = g.reduce((a, value) => a + value, 0) / cols;
      const meanGh = g.reduce((a, value, c) => a + value * h[c], 0) / cols;
      for (let c = 0; c < cols; c++) {
        dGamma[c] += dOut[c] * h[c];
        dBeta[c] += dOut[c];
        dX[c] = rstd * (g[c] - meanG - h[c] * meanGh);
      }
    },
    emit(k, { cols, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta, accumulate }) {
      const count = k.let(cols.toF32().splat());
      return () => {
        const center = k.let(load.splat(mean)), inverse = k.let(load.splat(rstd));
        const sumG = new Fold(k, "sum"), sumGh = new Fold(k, "sum");
        k.vectors(cols, (v) => {
          const d = k.let(v.load(dOut)), h = k.let(v.load(x).sub(center).mul(inverse));
          const g = k.let(d.mul(v.load(gamma)));
          sumG.add(v, g);
          sumGh.addProduct(v, g, h);
          v.store(dGamma, d.madd(h, v.load(dGamma)));
          v.store(dBeta, v.load(dBeta).add(d));
        });
        const meanG = k.let(sumG.result().div(count)), meanGh = k.let(sumGh.result().div(count));
        k.vectors(cols, (v) => {
          const h = v.load(x).sub(center).mul(inverse);
          const centered = v.load(dOut).mul(v.load(gamma)).sub(meanG);
          const gradient = h.nmadd(meanGh, centered).mul(inverse);
          v.store(dX, accumulate ? v.load(dX).add(gradient) : gradient);
        });
      };
    },
    // |h| <= 2, |g| <= 1: dX is at most 6, and each of its sums has that many roundings.
    error: ({ rows, additions }) => ({
      dX: 6 * (additions + 8),
      dGamma: (rows + 4) * (2 * rows + 1),
      dBeta: (rows + 1) ** 2,
    }),
  },
);
