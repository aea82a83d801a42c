/**
 * Row kernels of attention: softmax of blocks of scores whose rows see more and more keys, and its gradient.
 */
import { type Kernel, type ModuleBuilder, parameters, type ParamLocals, type Params } from "./builder.ts";
import { Fold } from "./fold.ts";
import { exp, log } from "./math.ts";
import { softmaxRow } from "./softmax_row.ts";
import { load } from "./loads.ts";
import { type I32, type I32Local, type V128 } from "./values.ts";

/**
 * Adds to a module:
 * - `causalSoftmax(x, ld, rows, keys, firstVisible, scale, lse)`: row r of the scores x sees
 *   `visible = min(keys, firstVisible + r)` keys. x becomes the softmax of `scale * x` over those, and 0 from there
 *   to `keys`; `lse[r]` the log of the sum of exponentials (-Infinity if nothing is visible),
 * - `causalSoftmaxGradient(p, dp, ld, rows, keys, firstVisible, scale, lse, delta)`: p holds raw scores and
 *   becomes probabilities `exp(scale * p - lse[r])`, dp holds dO V^T and becomes the gradient of the raw scores,
 *   `p * (dp - delta[r]) * scale`; both 0 from `visible` to `keys`,
 * - `windowSoftmax(..., firstKeys)` and `windowSoftmaxGradient(..., firstKeys)`, whose row r does not see the first
 *   `firstKeys[r]` keys either,
 * - `mergeRows(out, ldOut, part, ldPart, rows, cols, lse, partLse)`: rows of attention to two sets of keys become those
 *   of attention to both, in out and lse,
 * - `placeColumn(from, to, n, stride)`: elements that lie side by side go `stride` apart,
 * - `rowDots(a, lda, b, ldb, rows, cols, out)`: `out[r] = sum over c of a[r][c] * b[r][c]`.
 *
 * Leading dimensions and addresses are in bytes, sizes in elements.
 */
export function addAttentionRows(module: ModuleBuilder): void {
  for (const hasWindow of [false, true]) {
    addCausalSoftmax(module, hasWindow);
    addCausalSoftmaxGradient(module, hasWindow);
  }
  addMergeRows(module);
  addPlaceColumn(module);
  addRowDots(module);
}

function addCausalSoftmax(module: ModuleBuilder, hasWindow: boolean): void {
  const params = {
    ...parameters("i32", "x", "ld", "rows", "keys", "firstVisible"),
    ...parameters("f32", "scale"),
    ...parameters("i32", "lse"),
  };
  addForWindow(module, hasWindow ? "windowSoftmax" : "causalSoftmax", { params, hasWindow }, (k, args) => {
    const { x, ld, lse } = args, factor = k.let(args.scale.splat());
    eachRow(k, args, ({ seen, hideFirst, hideRest }) => {
      const scores = k.i32(hideFirst(x)),
        { max, total } = softmaxRow(k, { x: scores, cols: seen, factor, out: scores });
      const inverse = k.let(k.constant(1).div(total));
      k.vectors(seen, (v) => v.store(scores, v.load(scores).mul(inverse)));
      hideRest(x);
      k.storeF32(lse, max.add(log(k, total)).lane(0));
      x.set(x.add(ld));
      lse.set(lse.add(4));
    });
  });
}

function addCausalSoftmaxGradient(module: ModuleBuilder, hasWindow: boolean): void {
  const params = {
    ...parameters("i32", "p", "dp", "ld", "rows", "keys", "firstVisible"),
    ...parameters("f32", "scale"),
    ...parameters("i32", "lse", "delta"),
  };
  const name = hasWindow ? "windowSoftmaxGradient" : "causalSoftmaxGradient";
  addForWindow(module, name, { params, hasWindow }, (k, args) => {
    const { p, dp, ld, lse, delta } = args, factor = k.let(args.scale.splat());
    eachRow(k, args, ({ seen, hideFirst, hideRest }) => {
      const logSum = k.let(load.splat(lse)), dot = k.let(load.splat(delta));
      const [own, gradient] = [p, dp].map((row) => k.i32(hideFirst(row)));
      k.vectors(seen, (v) => {
        const probability = k.let(exp(k, v.load(own).mul(factor).sub(logSum)));
        v.store(own, probability);
        v.store(gradient, probability.mul(v.load(gradient).sub(dot)).mul(factor));
      }, { isLong: true });
      for (const row of [p, dp]) hideRest(row);
      for (const pointer of [p, dp]) pointer.set(pointer.add(ld));
      for (const pointer of [lse, delta]) pointer.set(pointer.add(4));
    });
  });
}

/** Adds a function that also gets the first keys of its rows, or does not. */
function addForWindow<P extends Params>(
  module: ModuleBuilder,
  name: string,
  { params, hasWindow }: { readonly params: P; readonly hasWindow: boolean },
  emit: (k: Kernel, args: ParamLocals<P> & { readonly firstKeys?: I32Local }) => void,
): void {
  if (hasWindow) module.func(name, { ...params, ...parameters("i32", "firstKeys") }, emit as Emit);
  else module.func(name, params, emit);
}

type Emit = (k: Kernel, args: Record<string, unknown>) => void;

function addPlaceColumn(module: ModuleBuilder): void {
  module.func("placeColumn", parameters("i32", "from", "to", "n", "stride"), (k, { from, to, n, stride }) => {
    k.for(0, n, 1, () => {
      k.storeF32(to, load.f32(from));
      from.set(from.add(4));
      to.set(to.add(stride));
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
  readonly rows: I32;
  readonly keys: I32;
  readonly firstVisible: I32;
  /** Walks along. */
  readonly firstKeys?: I32Local;
}

/** What a row sees of its keys. */
interface Sight {
  /** Number of keys. */
  readonly seen: I32Local;
  /** Zeros what lies before them in the row at an address; returns the address of the first that is seen. */
  readonly hideFirst: (row: I32) => I32;
  /** Zeros what lies behind them. */
  readonly hideRest: (row: I32) => void;
}

/** Walks rows with what each sees. */
function eachRow(
  k: Kernel,
  { rows, keys, firstVisible, firstKeys }: Mask,
  body: (sight: Sight) => void,
): void {
  k.for(0, rows, 1, (r) => {
    const limit = k.i32(firstVisible.add(r)), visible = k.i32(limit.minU(keys));
    const hidden = firstKeys === undefined ? undefined : k.i32(k.i32(load.i32(firstKeys)).minU(visible));
    const seen = hidden === undefined ? visible : k.i32(visible.sub(hidden));
    body({
      seen,
      hideFirst: (row) => {
        if (hidden === undefined) return row;
        zeroFrom(k, row, hidden);
        return row.add(hidden.shl(2));
      },
      hideRest: (row) => zeroFrom(k, row.add(visible.shl(2)), k.i32(keys.sub(visible))),
    });
    firstKeys?.set(firstKeys.add(4));
  });
}

/** Zeros `count` elements. */
function zeroFrom(k: Kernel, address: I32, count: I32): void {
  const from = k.i32(address), zero = k.constant(0);
  k.vectors(count, (v) => v.store(from, zero));
}
