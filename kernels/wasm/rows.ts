/**
 * Kernels of rows: layer norm, softmax and cross-entropy. Rows are tight; each is read while it is in cache.
 *
 * Sums over a row are those of {@link Fold}: their order depends on the row's length only.
 */
import { type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { Fold } from "./fold.ts";
import { softmaxRow } from "./softmax_row.ts";
import { addSumUnits } from "./sum_units.ts";
import { addTreeScatter } from "./tree_scatter.ts";
import { load } from "./values.ts";

/**
 * Adds to a module: `layerNorm(x, gamma, beta, out, mean, rstd, rows, cols, epsilon)`,
 * `layerNormBackward(x, gamma, mean, rstd, dOut, dX, dGamma, dBeta, rows, cols)` and `layerNormBackwardAdd(...)`, which
 * adds to dX, `softmax(x, out, rows, cols)` and `softmaxBackward(out, dOut, dX, rows, cols)`, and what
 * {@link addSumUnits} and {@link addTreeScatter} add.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addRows(module: ModuleBuilder): void {
  addLayerNorm(module);
  addLayerNormBackward(module, false);
  addLayerNormBackward(module, true);
  addSoftmax(module);
  addSumUnits(module);
  addTreeScatter(module);
}

function addLayerNorm(module: ModuleBuilder): void {
  const params = {
    ...parameters("i32", "x", "gamma", "beta", "out", "mean", "rstd", "rows", "cols"),
    ...parameters("f32", "epsilon"),
  };
  module.func("layerNorm", params, (k, { x, gamma, beta, out, mean, rstd, rows, cols, epsilon }) => {
    const rowBytes = k.i32(cols.shl(2)), count = k.let(cols.toF32().splat());
    eachRow(k, rows, [[x, rowBytes], [out, rowBytes], [mean, 4], [rstd, 4]], () => {
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
    });
  });
}

/** With h = (x - mean) rstd and g = dOut gamma: `dX = rstd (g - mean(g) - h mean(g h))`. */
function addLayerNormBackward(module: ModuleBuilder, accumulate: boolean): void {
  const spans = parameters("i32", "x", "gamma", "mean", "rstd", "dOut", "dX", "dGamma", "dBeta");
  const params = { ...spans, ...parameters("i32", "rows", "cols") };
  const name = accumulate ? "layerNormBackwardAdd" : "layerNormBackward";
  module.func(name, params, (k, { x, gamma, mean, rstd, dOut, dX, dGamma, dBeta, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2)), count = k.let(cols.toF32().splat());
    const steps: Parameters<typeof eachRow>[2] = [[x, rowBytes], [dOut, rowBytes], [dX, rowBytes]];
    eachRow(k, rows, [...steps, [mean, 4], [rstd, 4]], () => {
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
    });
  });
}

function addSoftmax(module: ModuleBuilder): void {
  module.func("softmax", { x: "i32", out: "i32", rows: "i32", cols: "i32" }, (k, { x, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[x, rowBytes], [out, rowBytes]], () => {
      const { total } = softmaxRow(k, { x, out, cols });
      const inverse = k.let(k.constant(1).div(total));
      k.vectors(cols, (v) => v.store(out, v.load(out).mul(inverse)));
    });
  });
  const params = { out: "i32", dOut: "i32", dX: "i32", rows: "i32", cols: "i32" } as const;
  module.func("softmaxBackward", params, (k, { out, dOut, dX, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[out, rowBytes], [dOut, rowBytes], [dX, rowBytes]], () => {
      const dot = new Fold(k, "sum");
      k.vectors(cols, (v) => dot.addProduct(v, v.load(out), v.load(dOut)));
      const sum = dot.result();
      k.vectors(cols, (v) => v.store(dX, v.load(out).mul(v.load(dOut).sub(sum))));
    });
  });
}
