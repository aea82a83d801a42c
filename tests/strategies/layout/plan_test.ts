import { assertEquals, assertThrows } from "@std/assert";
import { Gpt, gptLayers, gptPlan } from "../../../models/mod.ts";
import { eachRun, LayerNorm, Linear, type Scope } from "../../../nn/mod.ts";
import { checkPlan, layerOf, type ParallelPlan, shardOf, splitOf } from "../../../strategies/mod.ts";

const CONFIG = { layers: 2, heads: 3, embed: 12, context: 8, vocab: 259 };
const PLAN = gptPlan(CONFIG);
const build = (scope: Scope) => new Gpt(scope, CONFIG);

/** The indices along the split dim that each device of a group holds. */
function indicesOf(plan: ParallelPlan, name: string, shape: number[], size: number): number[][] {
  return Array.from({ length: size }, (_, index) => {
    const shard = shardOf(plan, name, shape, { size, index })!;
    return shard.runs.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i));
  });
}

Deno.test("splitOf() finds the first pattern, in which * is one component", () => {
  assertEquals(splitOf(PLAN, "h.11.attn.c_attn"), { kind: "column", parts: 3, unit: 4 });
  assertEquals(splitOf(PLAN, "h.0.ln_1"), undefined);
  assertEquals(splitOf({ "*": { kind: "row" } }, "a.b"), undefined);
  assertEquals(splitOf({ "a.*": { kind: "row" }, "a.b": { kind: "vocab" } }, "a.b"), { kind: "row" });
  assertEquals(["a.b.weight", "weight"].map(layerOf), ["a.b", ""]);
});

Deno.test("shardOf() gives whole heads of q, k and v, and the inputs that they make", () => {
  const [first, second] = indicesOf(PLAN, "h.0.attn.c_attn.weight", [12, 36], 2);
  assertEquals(first, [0, 1, 2, 3, 12, 13, 14, 15, 24, 25, 26, 27]);
  assertEquals(second, [4, 5, 6, 7, 8, 9, 10, 11, ...[16, 17, 18, 19, 20, 21, 22, 23], ...[
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    35,
  ]]);
  assertEquals(indicesOf(PLAN, "h.0.attn.c_attn.bias", [36], 2), [first, second]);
  assertEquals(indicesOf(PLAN, "h.0.attn.c_proj.weight", [12, 12], 2), [[0, 1, 2, 3], [
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
  ]]);
  assertEquals(shardOf(PLAN, "h.0.attn.c_proj.bias", [12], { size: 2, index: 0 }), undefined);
  assertEquals(shardOf(PLAN, "h.0.attn.c_attn.weight", [12, 36], { size: 1, index: 0 }), undefined);
});

Deno.test("shardOf() deals out a head of k and v with the heads of q that read it", () => {
  const plan: ParallelPlan = { attn: { kind: "column", parts: [2, 1, 1], unit: 3 } };
  // Three heads of k and v, six of q: 18 + 9 + 9 columns.
  const runs = (index: number) => shardOf(plan, "attn.weight", [5, 36], { size: 2, index })!.runs;
  assertEquals(runs(0), [{ start: 0, length: 6 }, { start: 18, length: 3 }, { start: 27, length: 3 }]);
  assertEquals(runs(1), [{ start: 6, length: 12 }, { start: 21, length: 6 }, { start: 30, length: 6 }]);
  const call = (size: number, width: number) => () => shardOf(plan, "attn.bias", [width], { size, index: 0 });
  assertThrows(
    call(4, 36),
    RangeError,
    "Cannot split attn over tp 4: dim 0 of attn.bias [36] has 3 units of 6 + 3 + 3, and every device needs at least one",
  );
  assertThrows(call(2, 30), RangeError, "dim 0 of attn.bias [30] must be a multiple of units of 6 + 3 + 3");
});

Deno.test("shardOf() splits vocabularies, heads of both kinds, and layers that are not named not at all", () => {
  const plan: ParallelPlan = { ...PLAN, own: { kind: "head", table: "own" }, last: { kind: "head" } };
  const dims = [["wte", [259, 12]], ["own", [259, 12]], ["last", [12, 7]], ["h.1.mlp.c_proj", [
    48,
    12,
  ]]] as const;
  const dimOf = ([name, shape]: typeof dims[number]) =>
    shardOf(plan, `${name}.weight`, shape, { size: 4, index: 3 })!.dim;
  assertEquals(dims.map(dimOf), [0, 0, 1, 0]);
  assertEquals(indicesOf(plan, "wte.weight", [259, 12], 4).map((rows) => rows.length), [64, 65, 65, 65]);
  for (const name of ["wpe.weight", "ln_f.weight", "lm_head.weight.of.others"]) {
    assertEquals(shardOf(plan, name, [8, 12], { size: 2, index: 1 }), undefined);
  }
});

Deno.test("the shards of every parameter of a GPT cover each element once, for 2 and 3 devices", () => {
  for (const size of [2, 3]) {
    for (const [name, shape] of [["h.0.attn.c_attn.weight", [12, 36]], ["wte.weight", [259, 12]]] as const) {
      const counts = new Uint8Array(shape[0] * shape[1]);
      for (let index = 0; index < size; index++) {
        eachRun(shape, shardOf(PLAN, name, shape, { size, index }), (_, global, length) => {
          for (let i = 0; i < length; i++) counts[global + i]++;
        });
      }
      assertEquals(counts.every((count) => count === 1), true);
    }
  }
});

Deno.test("checkPlan() accepts what can be split, as a model or as layers", () => {
  for (const tp of [1, 2, 3]) checkPlan(PLAN, tp, build);
  checkPlan(PLAN, 3, (scope) => gptLayers(CONFIG).map((layer) => layer.build(scope)));
});

Deno.test("checkPlan() refuses fewer units than devices, by name", () => {
  assertThrows(
    () => checkPlan(PLAN, 4, build),
    RangeError,
    "Cannot split h.0.attn.c_attn over tp 4: dim 1 of h.0.attn.c_attn.weight [12, 36] has 3 units of 4, " +
      "and every device needs at least one",
  );
});

Deno.test("checkPlan() refuses parts of units, names that fit nothing, tables and types that cannot be split", () => {
  const refuse = (plan: ParallelPlan, message: string, make: (scope: Scope) => unknown = build) =>
    assertThrows(() => checkPlan(plan, 2, make), RangeError, message);
  refuse({ "h.*.mlp.c_fc": { kind: "column", unit: 5 } }, "must be a multiple of 1 parts of units of 5");
  refuse(
    { "h.*.mlp.up": { kind: "column" } },
    "Cannot split h.*.mlp.up by column: the model has no such layer",
  );
  refuse({ "lm_head": { kind: "head", table: "wte" } }, "its table wte must be split by vocab");
  refuse({ "norm": { kind: "column" } }, "the model has no such layer", (scope) => {
    new Linear(scope.child("first"), { inputs: 4, outputs: 4 });
    new LayerNorm(scope.child("norm"), 4);
  });
  refuse({ "*": { kind: "column" } }, "Cannot split norm: it is of a type that cannot", (scope) => {
    new Linear(scope.child("first"), { inputs: 4, outputs: 4 });
    new LayerNorm(scope.child("norm"), 4);
  });
});
