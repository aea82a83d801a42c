/**
 * Kernels of a mixture of experts: the routing plan, its gradient, and sums of rows that are picked by index.
 *
 * The plan is scalar code: it does a few operations for each pair of token and expert, next to the thousands that an
 * expert does for a token.
 */
import {
  type ChoiceDotsArgs,
  type CombineRowsArgs,
  type RouteArgs,
  type RouteBackwardArgs,
  sharesWeights,
} from "../arguments/expert_arguments.ts";
import { type Kernel, type Kernels, type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { Fold } from "./fold.ts";
import { load } from "./loads.ts";
import { type F32Local, type I32, type I32Local } from "./values.ts";

/**
 * Adds to a module: `route(probabilities, mask, chosen, weights, slots, slotTokens, slotWeights, wanted, losses, units,
 * unitTokens, experts, choices, capacity, shares, lossFactor)`, `routeBackward(probabilities, chosen, weights, wanted, dWeights,
 * dProbabilities, units, unitTokens, experts, choices, shares, lossFactor)`, `combineRows(ids, table, out, rows, cols, count)`,
 * `combineRowsAdd(...)`, `weighRows(ids, weights, table, out, rows, cols, count)`, `weighRowsAdd(...)` and
 * `choiceDots(ids, x, table, out, rows, cols, count)`.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addExperts(module: ModuleBuilder): void {
  addRoute(module);
  addRouteBackward(module);
  for (const isAdding of [false, true]) {
    addCombineRows(module, isAdding);
    addWeighRows(module, isAdding);
  }
  addChoiceDots(module);
}

/** Element `index` of four-byte elements. */
function element(base: I32, index: I32): I32 {
  return base.add(index.shl(2));
}

type Locals = Record<string, I32Local>;

function addRoute(module: ModuleBuilder): void {
  const names = ["probabilities", "mask", "chosen", "weights", "slots", "slotTokens"] as const;
  const spans = parameters("i32", ...names, "slotWeights", "wanted", "losses");
  const sizes = parameters("i32", "units", "unitTokens", "experts", "choices", "capacity", "shares");
  module.func("route", { ...spans, ...sizes, lossFactor: "f64" }, (k, { lossFactor, ...p }) => {
    const { probabilities, chosen, weights, slots, wanted, losses, experts, choices } = p;
    clearSlots(k, p);
    const rowBytes = k.i32(experts.shl(2)), choiceBytes = k.i32(choices.shl(2)), token = k.i32(0);
    k.for(0, p.units, 1, (unit) => {
      const first = k.i32(probabilities);
      k.zero(wanted, rowBytes);
      const steps: [I32Local, I32 | number][] = [[probabilities, rowBytes], [token, 1]];
      for (const pointer of [chosen, weights, slots]) steps.push([pointer, choiceBytes]);
      eachRow(k, p.unitTokens, steps, () => {
        const total = k.f32(0);
        k.for(0, choices, 1, (i) => {
          const { expert, probability } = chooseExpert(k, p, i);
          giveSlot(k, p, { expert, unit, token, i });
          k.storeF32(element(weights, i), probability);
          total.set(total.add(probability));
        });
        shareWeights(k, p, total);
      });
      const loss = k.f64(0);
      k.for(0, experts, 1, (e) => {
        const sum = k.f64(0), at = k.i32(element(first, e));
        eachRow(k, p.unitTokens, [[at, rowBytes]], () => sum.set(sum.add(load.f32(at).toF64())));
        loss.set(loss.add(sum.mul(load.i32(element(wanted, e)).toF32().toF64())));
      });
      k.storeF32(losses, loss.mul(lossFactor).toF32());
      wanted.set(wanted.add(rowBytes));
      losses.set(losses.add(4));
    });
  });
}

function clearSlots(k: Kernel, { slotTokens, slotWeights, units, experts, capacity }: Locals): void {
  const numSlots = k.i32(units.mul(experts).mul(capacity));
  k.zero(slotWeights, numSlots.shl(2));
  k.for(0, numSlots, 1, (slot) => k.storeI32(element(slotTokens, slot), -1));
}

/** The most probable expert that lives and is none of the token's choices before `i`; expert 0 if there is none. */
function chooseExpert(k: Kernel, p: Locals, i: I32): { expert: I32Local; probability: F32Local } {
  const expert = k.i32(-1), probability = k.f32(0);
  k.for(0, p.experts, 1, (e) => {
    const value = k.f32(load.f32(element(p.probabilities, e)));
    // The bits of a mask of 0 are 0.
    const isTaken = k.i32(load.i32(element(p.mask, e)));
    k.for(0, i, 1, (j) => isTaken.set(isTaken.add(load.i32(element(p.chosen, j)).eq(e))));
    // The first that is free stands even if its probability is NaN.
    const isBetter = expert.ltS(0).add(value.gt(probability)).ne(0);
    k.if(isTaken.eq(0).and(isBetter), () => {
      expert.set(e);
      probability.set(value);
    });
  });
  k.if(expert.ltS(0), () => expert.set(0));
  return { expert, probability };
}

function giveSlot(
  k: Kernel,
  p: Locals,
  { expert, unit, token, i }: { expert: I32; unit: I32; token: I32; i: I32 },
): void {
  const count = k.i32(element(p.wanted, expert)), place = k.i32(load.i32(count)), slot = k.i32(-1);
  k.storeI32(count, place.add(1));
  k.if(place.ltS(p.capacity), () => {
    slot.set(expert.mul(p.units).add(unit).mul(p.capacity).add(place));
    k.storeI32(element(p.slotTokens, slot), token);
  });
  k.storeI32(element(p.chosen, i), expert);
  k.storeI32(element(p.slots, i), slot);
}

/** Divides the weights of a token by their sum, where they are shares in it; copies them to their slots. */
function shareWeights(
  k: Kernel,
  { choices, shares, weights, slots, slotWeights }: Locals,
  total: F32Local,
): void {
  k.if(shares.eq(0), () => total.set(1));
  k.for(0, choices, 1, (i) => {
    const weight = k.f32(load.f32(element(weights, i)).div(total)), slot = k.i32(load.i32(element(slots, i)));
    k.storeF32(element(weights, i), weight);
    k.if(slot.geS(0), () => k.storeF32(element(slotWeights, slot), weight));
  });
}

function addRouteBackward(module: ModuleBuilder): void {
  const spans = ["probabilities", "chosen", "weights", "wanted", "dWeights", "dProbabilities"] as const;
  const params = parameters("i32", ...spans, "units", "unitTokens", "experts", "choices", "shares");
  module.func("routeBackward", { ...params, lossFactor: "f32" }, (k, p) => {
    const { probabilities, chosen, weights, wanted, dWeights, dProbabilities, experts, choices } = p;
    const rowBytes = k.i32(experts.shl(2)), choiceBytes = k.i32(choices.shl(2));
    const steps: [I32Local, I32][] = [[probabilities, rowBytes], [dProbabilities, rowBytes]];
    for (const pointer of [chosen, weights, dWeights]) steps.push([pointer, choiceBytes]);
    eachRow(k, p.units, [[wanted, rowBytes]], () =>
      eachRow(k, p.unitTokens, steps, () => {
        k.for(0, experts, 1, (e) => {
          k.storeF32(element(dProbabilities, e), load.i32(element(wanted, e)).toF32().mul(p.lossFactor));
        });
        const total = k.f32(1), dot = k.f32(0);
        k.if(p.shares, () => {
          total.set(0);
          k.for(0, choices, 1, (i) => {
            const expert = load.i32(element(chosen, i));
            total.set(total.add(load.f32(element(probabilities, expert))));
            dot.set(dot.add(load.f32(element(weights, i)).mul(load.f32(element(dWeights, i)))));
          });
        });
        k.for(0, choices, 1, (i) => {
          const at = k.i32(element(dProbabilities, load.i32(element(chosen, i))));
          k.storeF32(at, load.f32(at).add(load.f32(element(dWeights, i)).sub(dot).div(total)));
        });
      }));
  });
}

function addCombineRows(module: ModuleBuilder, isAdding: boolean): void {
  const params = parameters("i32", "ids", "table", "out", "rows", "cols", "count");
  module.func(isAdding ? "combineRowsAdd" : "combineRows", params, (k, p) => {
    const rowBytes = k.i32(p.cols.shl(2));
    eachRow(k, p.rows, [[p.out, rowBytes]], () => {
      if (!isAdding) k.zero(p.out, rowBytes);
      eachRow(k, p.count, [[p.ids, 4]], () => {
        k.if(load.i32(p.ids).geS(0), () => {
          const row = k.i32(p.table.add(load.i32(p.ids).mul(rowBytes)));
          k.vectors(p.cols, (v) => v.store(p.out, v.load(p.out).add(v.load(row))));
        });
      });
    });
  });
}

function addWeighRows(module: ModuleBuilder, isAdding: boolean): void {
  const params = parameters("i32", "ids", "weights", "table", "out", "rows", "cols", "count");
  module.func(isAdding ? "weighRowsAdd" : "weighRows", params, (k, p) => {
    const rowBytes = k.i32(p.cols.shl(2));
    eachRow(k, p.rows, [[p.out, rowBytes]], () => {
      if (!isAdding) k.zero(p.out, rowBytes);
      eachRow(k, p.count, [[p.ids, 4], [p.weights, 4]], () => {
        k.if(load.i32(p.ids).geS(0), () => {
          const row = k.i32(p.table.add(load.i32(p.ids).mul(rowBytes))),
            weight = k.let(load.splat(p.weights));
          k.vectors(p.cols, (v) => v.store(p.out, v.load(row).madd(weight, v.load(p.out))));
        });
      });
    });
  });
}

function addChoiceDots(module: ModuleBuilder): void {
  const params = parameters("i32", "ids", "x", "table", "out", "rows", "cols", "count");
  module.func("choiceDots", params, (k, p) => {
    const rowBytes = k.i32(p.cols.shl(2));
    eachRow(k, p.rows, [[p.x, rowBytes]], () =>
      eachRow(k, p.count, [[p.ids, 4], [p.out, 4]], () => {
        k.storeF32(p.out, 0);
        k.if(load.i32(p.ids).geS(0), () => {
          const row = k.i32(p.table.add(load.i32(p.ids).mul(rowBytes))), dot = new Fold(k, "sum");
          k.vectors(p.cols, (v) => dot.addProduct(v, v.load(p.x), v.load(row)));
          k.storeF32(p.out, dot.result().lane(0));
        });
      }));
  });
}

/** Calls `route`. */
export function runRoute(kernels: Kernels, a: RouteArgs): void {
  kernels.route(
    a.probabilities.byteOffset,
    a.mask.byteOffset,
    a.chosen.byteOffset,
    a.weights.byteOffset,
    a.slots.byteOffset,
    a.slotTokens.byteOffset,
    a.slotWeights.byteOffset,
    a.wanted.byteOffset,
    a.losses.byteOffset,
    a.units,
    a.unitTokens,
    a.experts,
    a.choices,
    a.capacity,
    Number(sharesWeights(a)),
    a.lossFactor,
  );
}

/** Calls `routeBackward`. */
export function runRouteBackward(kernels: Kernels, a: RouteBackwardArgs): void {
  kernels.routeBackward(
    a.probabilities.byteOffset,
    a.chosen.byteOffset,
    a.weights.byteOffset,
    a.wanted.byteOffset,
    a.dWeights.byteOffset,
    a.dProbabilities.byteOffset,
    a.units,
    a.unitTokens,
    a.experts,
    a.choices,
    Number(sharesWeights(a)),
    a.lossFactor,
  );
}

/** Calls the variant of `combineRows` that the arguments ask for. */
export function runCombineRows(kernels: Kernels, a: CombineRowsArgs): void {
  const ids = a.ids.byteOffset, table = a.table.byteOffset, out = a.out.byteOffset, { rows, cols, count } = a;
  if (a.weights === undefined) {
    const kernel = a.accumulate ? kernels.combineRowsAdd : kernels.combineRows;
    kernel(ids, table, out, rows, cols, count);
  } else {
    const kernel = a.accumulate ? kernels.weighRowsAdd : kernels.weighRows;
    kernel(ids, a.weights.byteOffset, table, out, rows, cols, count);
  }
}

/** Calls `choiceDots`. */
export function runChoiceDots(kernels: Kernels, a: ChoiceDotsArgs): void {
  const { rows, cols, count } = a;
  kernels.choiceDots(
    a.ids.byteOffset,
    a.x.byteOffset,
    a.table.byteOffset,
    a.out.byteOffset,
    rows,
    cols,
    count,
  );
}
