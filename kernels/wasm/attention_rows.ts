/**
 * Row kernels of attention: softmax of blocks of scores whose rows see more and more keys, and its gradient.
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { Fold } from "./fold.ts";
import { exp, log } from "./math.ts";
import { softmaxRow } from "./softmax_row.ts";
import { type I32, type I32Local, load, type V128 } from "./values.ts";

/**
 * Adds to a module:
 * - `causalSoftmax(x, ld, rows, keys, firstVisible, scale, lse)`: row r of the scores x sees
 *   `visible = min(keys, firstVisible + r)` keys. x becomes the softmax of `scale * x` over those, and 0 from there
 *   to `keys`; `lse[r]` the log of the sum of exponentials (-Infinity if nothing is visible),
 * - `causalSoftmaxGradient(p, dp, ld, rows, keys, firstVisible, scale, lse, delta)`: p holds raw scores and
 *   becomes probabilities `exp(scale * p - lse[r])`, dp holds dO V^T and becomes the gradient of the raw scores,
 *   `p * (dp - delta[r]) * scale`; both 0 from `visible` to `keys`,
 * - `mergeRows(out, ldOut, part, ldPart, rows, cols, lse, partLse)`: rows of attention to two sets of keys become those
 *   of attention to both, in out and lse,
 * - `rowDots(a, lda, b, ldb, rows, cols, out)`: `out[r] = sum over c of a[r][c] * b[r][c]`.
 *
 * Leading dimensions and addresses are in bytes, sizes in elements.
 */
export function addAttentionRows(module: ModuleBuilder): void {
  addCausalSoftmax(module);
  addCausalSoftmaxGradient(module);
  addMergeRows(module);
  addRowDots(module);
}

function addCausalSoftmax(module: ModuleBuilder): void {
  const params = {
    ...parameters("i32", "x", "ld", "rows", "keys", "firstVisible"),
    ...parameters("f32", "scale"),
    ...parameters("i32", "lse"),
  };
  module.func("causalSoftmax", params, (k, { x, ld, rows, keys, firstVisible, scale, lse }) => {
    const factor = k.let(scale.splat());
    eachRow(k, { rows, keys, firstVisible }, (visible, masked) => {
      const { max, total } = softmaxRow(k, { x, cols: visible, factor, out: x });
      const inverse = k.let(k.constant(1).div(total));
      k.vectors(visible, (v) => v.store(x, v.load(x).mul(inverse)));
      zeroRest(k, x, visible, masked);
      k.storeF32(lse, max.add(log(k, total)).lane(0));
      x.set(x.add(ld));
      lse.set(lse.add(4));
    });
  });
}

function addCausalSoftmaxGradient(module: ModuleBuilder): void {
  const params = {
    ...parameters("i32", "p", "dp", "ld", "rows", "keys", "firstVisible"),
    ...parameters("f32", "scale"),
    ...parameters("i32", "lse", "delta"),
  };
  module.func("causalSoftmaxGradient", params, (k, args) => {
    const { p, dp, ld, rows, keys, firstVisible, scale, lse, delta } = args;
    const factor = k.let(scale.splat());
    eachRow(k, { rows, keys, firstVisible }, (visible, masked) => {
      const logSum = k.let(load.splat(lse)), dot = k.let(load.splat(delta));
      k.vectors(visible, (v) => {
        const probability = k.let(exp(k, v.load(p).mul(factor).sub(logSum)));
        v.store(p, probability);
        v.store(dp, probability.mul(v.load(dp).sub(dot)).mul(factor));
      }, { isLong: true });
      zeroRest(k, p, visible, masked);
      zeroRest(k, dp, visible, masked);
      for (const pointer of [p, dp]) pointer.set(pointer.add(ld));
      for (const pointer of [lse, delta]) pointer.set(pointer.add(4));
    });
  });
}

function addMergeRows(module: ModuleBuilder): void {
  const params = parameters("i32", "out", "ldOut", "part", "ldPart", "rows", "cols", "lse", "partLse");
  module.func("mergeRows", params, (k, { out, ldOut, part, ldPart, rows, cols, lse, partLse }) => {
    // By way of a scalar: see Fold.
    const scalar = (value: V128) => k.let(k.f32(value.lane(0)).splat());
    k.for(0, rows, 1, () => {
      const own = k.let(load.splat(lse)), other = k.let(load.splat(partLse));
      // A finite maximum and a positive divisor, also of a row that neither part sees.
      const max = k.let(own.pmax(other).pmax(k.constant(-3e38)));
      const ownPower = k.let(exp(k, own.sub(max))), otherPower = k.let(exp(k, other.sub(max)));
      const total = k.let(ownPower.add(otherPower));
      const inverse = k.let(k.constant(1).div(total.pmax(k.constant(2 ** -126))));
      const keep = scalar(ownPower.mul(inverse)), take = scalar(otherPower.mul(inverse));
      k.vectors(cols, (v) => v.store(out, v.load(part).madd(take, v.load(out).mul(keep))));
      k.storeF32(lse, max.add(log(k, total)).lane(0));
      out.set(out.add(ldOut));
      part.set(part.add(ldPart));
      for (const pointer of [lse, partLse]) pointer.set(pointer.add(4));
    });
  });
}

function addRowDots(module: ModuleBuilder): void {
  const params = {
    a: "i32",
    lda: "i32",
    b: "i32",
    ldb: "i32",
    rows: "i32",
    cols: "i32",
    out: "i32",
  } as const;
  module.func("rowDots", params, (k, { a, lda, b, ldb, rows, cols, out }) => {
    k.for(0, rows, 1, () => {
      const dot = new Fold(k, "sum");
      k.vectors(cols, (v) => dot.addProduct(v, v.load(a), v.load(b)));
      k.storeF32(out, dot.result().lane(0));
      a.set(a.add(lda));
      b.set(b.add(ldb));
      out.set(out.add(4));
    });
  });
}

interface Mask {
  rows: I32;
  keys: I32;
  firstVisible: I32;
}

/** Walks rows with the numbers of keys that each sees and does not see. */
function eachRow(k: Kernel, mask: Mask, body: (visible: I32Local, masked: I32Local) => void): void {
  k.for(0, mask.rows, 1, (r) => {
    const limit = k.i32(mask.firstVisible.add(r));
    const visible = k.i32(limit.minU(mask.keys));
    body(visible, k.i32(mask.keys.sub(visible)));
  });
}

/** Zeros the `masked` elements behind the first `visible` ones of the row at x. */
function zeroRest(k: Kernel, x: I32, visible: I32, masked: I32): void {
  const rest = k.i32(x.add(visible.shl(2))), zero = k.constant(0);
  k.vectors(masked, (v) => v.store(rest, zero));
}
