/**
 * Kernels that are steered by indices: cross-entropy, embedding gather and scatter-add.
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { log } from "./math.ts";
import { softmaxRow } from "./softmax_row.ts";
import { load } from "./loads.ts";
import { type I32 } from "./values.ts";

/**
 * Adds to a module: `crossEntropy(logits, targets, losses, rows, cols)`,
 * `crossEntropyGradient(logits, targets, losses, rows, cols, dLogits, scale)` (one exponential per logit; dLogits
 * may be logits), `gather(ids, table, out, rows, cols)`, `gatherAdd(...)`, `scatterAdd(ids, x, table, rows, cols)`,
 * and `firstBadId(ids, n, limit)`: index of the first id that is not below `limit`, or n. Rows with a negative id are
 * masked: -0, or left out of additions.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addLoss(module: ModuleBuilder): void {
  addCrossEntropy(module);
  addGather(module);
  module.func("firstBadId", parameters("i32", "ids", "n", "limit"), (k, { ids, n, limit }) => {
    const i = k.i32(0), bad = k.i32(0);
    k.while(i.ltS(n).and(bad.eq(0)), () => {
      bad.set(load.i32(ids).geS(limit));
      i.set(i.add(bad.eq(0)));
      ids.set(ids.add(4));
    });
    return i;
  });
}

function addCrossEntropy(module: ModuleBuilder): void {
  const params = parameters("i32", "logits", "targets", "losses", "rows", "cols");
  module.func("crossEntropy", params, (k, { logits, targets, losses, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[logits, rowBytes], [targets, 4], [losses, 4]], () => {
      const target = k.i32(load.i32(targets));
      k.storeF32(losses, 0);
      k.if(target.geS(0), () => storeLoss(k, { logits, target, losses, cols }));
    });
  });
  const withGradient = { ...params, dLogits: "i32", scale: "f32" } as const;
  module.func("crossEntropyGradient", withGradient, (k, args) => {
    const { logits, targets, losses, rows, cols, dLogits, scale } = args;
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[logits, rowBytes], [targets, 4], [losses, 4], [dLogits, rowBytes]], () => {
      const target = k.i32(load.i32(targets));
      k.if(target.geS(0), () => {
        const total = storeLoss(k, { logits, target, losses, cols, out: dLogits });
        const factor = k.let(scale.splat().div(total));
        k.vectors(cols, (v) => v.store(dLogits, v.load(dLogits).mul(factor)));
        const place = dLogits.add(target.shl(2));
        k.storeF32(place, load.f32(place).sub(scale));
      }, () => {
        const zero = k.constant(0);
        k.storeF32(losses, 0);
        k.vectors(cols, (v) => v.store(dLogits, zero));
      });
    });
  });
}

interface LossRow {
  logits: I32;
  target: I32;
  losses: I32;
  cols: I32;
  out?: I32;
}

/** Stores the loss of a row, and the exponentials at `out`; returns their sum. */
function storeLoss(k: Kernel, { logits, target, losses, cols, out }: LossRow) {
  const chosen = k.f32(load.f32(logits.add(target.shl(2))));
  const { max, total } = softmaxRow(k, { x: logits, cols, out });
  // First the difference, which is exact or large, so that a small loss keeps its accuracy.
  k.storeF32(losses, max.sub(chosen.splat()).add(log(k, total)).lane(0));
  return total;
}

function addGather(module: ModuleBuilder): void {
  const params = parameters("i32", "ids", "table", "out", "rows", "cols");
  module.func("gather", params, (k, { ids, table, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2)), nothing = k.constant(-0);
    eachRow(k, rows, [[ids, 4], [out, rowBytes]], () => {
      const row = k.i32(table.add(load.i32(ids).mul(rowBytes)));
      k.if(
        load.i32(ids).geS(0),
        () => k.vectors(cols, (v) => v.store(out, v.load(row))),
        () => k.vectors(cols, (v) => v.store(out, nothing)),
      );
    });
  });
  module.func("gatherAdd", params, (k, { ids, table, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[ids, 4], [out, rowBytes]], () => {
      const row = k.i32(table.add(load.i32(ids).mul(rowBytes)));
      k.if(
        load.i32(ids).geS(0),
        () => k.vectors(cols, (v) => v.store(out, v.load(out).add(v.load(row)))),
      );
    });
  });
  const scatter = parameters("i32", "ids", "x", "table", "rows", "cols");
  module.func("scatterAdd", scatter, (k, { ids, x, table, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(k, rows, [[ids, 4], [x, rowBytes]], () => {
      const row = k.i32(table.add(load.i32(ids).mul(rowBytes)));
      k.if(
        load.i32(ids).geS(0),
        () => k.vectors(cols, (v) => v.store(row, v.load(row).add(v.load(x)))),
      );
    });
  });
}
