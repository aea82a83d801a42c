/**
 * Kernels of a cross-entropy whose classes lie on several devices: what each does before and after the sums over them.
 *
 * Source: Shoeybi et al., Megatron-LM, 2019, section 3 (the loss of a head that is split over the vocabulary).
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { Fold } from "./fold.ts";
import { log } from "./math.ts";
import { sumPowers } from "./softmax_row.ts";
import { load } from "./loads.ts";
import { type I32Local } from "./values.ts";

/**
 * Adds to a module: `rowMax(x, out, rows, cols)`, `rowExpSum(x, max, sums, rows, chunks, cols)` for rows of
 * `chunks` x `cols` columns, `rowPowers(..., powers)`, which stores the exponentials too, `spreadLoss(targets, max,
 * sums, chosen, losses, rows)` and `spreadGradient(targets, sums, powers, rows, cols, firstClass, scale)`.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addSpreadLoss(module: ModuleBuilder): void {
  module.func("rowMax", parameters("i32", "x", "out", "rows", "cols"), (k, { x, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[x, rowBytes], [out, 4]], () => {
      const largest = new Fold(k, "max");
      k.vectors(cols, (v) => largest.add(v, v.load(x)));
      k.storeF32(out, largest.result().lane(0));
    });
  });
  addRowExpSum(module);
  addEnd(module);
}

function addRowExpSum(module: ModuleBuilder): void {
  const params = parameters("i32", "x", "max", "sums", "rows", "chunks", "cols");
  module.func("rowExpSum", params, emitRowExpSum);
  module.func("rowPowers", { ...params, powers: "i32" }, emitRowExpSum);
}

type ExpSumParams = Record<"x" | "max" | "sums" | "rows" | "chunks" | "cols", I32Local> & {
  powers?: I32Local;
};

/** Sums of chunks of `cols` columns, then ((0 1) (2 3)) of them: after chunk i as many additions as i ends with ones. */
function emitRowExpSum(k: Kernel, { x, max, sums, rows, chunks, cols, powers }: ExpSumParams): void {
  const chunkBytes = k.i32(cols.shl(2)), last = k.f32(0), firstPair = k.f32(0);
  const steps: Parameters<typeof eachRow>[2] = [[x, chunkBytes]];
  if (powers !== undefined) steps.push([powers, chunkBytes]);
  eachRow(k, rows, [[max, 4], [sums, 4]], () => {
    const largest = k.let(load.splat(max)), i = k.i32(0);
    eachRow(k, chunks, [...steps, [i, 1]], () => {
      const sum = k.f32(sumPowers(k, { x, cols, out: powers }, largest).lane(0));
      k.if(i.and(1), () => sum.set(last.add(sum)));
      k.if(i.eq(3), () => sum.set(firstPair.add(sum)));
      k.if(i.eq(1), () => firstPair.set(sum));
      last.set(sum);
    });
    k.storeF32(sums, last);
  });
}

function addEnd(module: ModuleBuilder): void {
  const params = parameters("i32", "targets", "max", "sums", "chosen", "losses", "rows");
  module.func("spreadLoss", params, (k, { targets, max, sums, chosen, losses, rows }) => {
    eachRow(k, rows, [[targets, 4], [max, 4], [sums, 4], [chosen, 4], [losses, 4]], () => {
      k.storeF32(losses, 0);
      k.if(load.i32(targets).geS(0), () => {
        const total = log(k, k.let(load.splat(sums)));
        // First the difference, which is exact or large, so that a small loss keeps its accuracy.
        k.storeF32(losses, load.splat(max).sub(load.splat(chosen)).add(total).lane(0));
      });
    });
  });
  const gradient = {
    ...parameters("i32", "targets", "sums", "powers", "rows", "cols", "firstClass"),
    ...parameters("f32", "scale"),
  };
  module.func("spreadGradient", gradient, (k, args) => {
    const { targets, sums, powers, rows, cols, firstClass, scale } = args;
    const rowBytes = k.i32(cols.shl(2)), zero = k.constant(0);
    eachRow(k, rows, [[targets, 4], [sums, 4], [powers, rowBytes]], () => {
      k.if(load.i32(targets).geS(0), () => {
        const factor = k.let(scale.splat().div(load.splat(sums)));
        k.vectors(cols, (v) => v.store(powers, v.load(powers).mul(factor)));
        const own = k.i32(load.i32(targets).sub(firstClass));
        k.if(own.ltU(cols), () => {
          const place = k.i32(powers.add(own.shl(2)));
          k.storeF32(place, load.f32(place).sub(scale));
        });
      }, () => k.vectors(cols, (v) => v.store(powers, zero)));
    });
  });
}
