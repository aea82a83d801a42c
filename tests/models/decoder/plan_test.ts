import { assertEquals, assertThrows } from "@std/assert";
import { familyNamed, loadModel, modelOf, shapesOf } from "../../../models/mod.ts";
import { checkPlan, shardOf } from "../../../strategies/mod.ts";
import type { Scope } from "../../../nn/mod.ts";

const SIZES = {
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 6,
  embed: 16,
  inner: 24,
  context: 8,
  vocab: 12,
  experts: 3,
  topKExperts: 2,
};

async function partsOf(name: string) {
  const family = familyNamed(name)!;
  return await loadModel(modelOf(family, family.configure(SIZES)));
}

for (const name of ["llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe"]) {
  Deno.test(`the plan of ${name} splits layers that it has, over as many devices as it has heads`, async () => {
    const { layers, plan } = await partsOf(name),
      build = (scope: Scope) => layers.map((layer) => layer.build(scope));
    for (const tp of [1, 2, 4]) checkPlan(plan, tp, build);
    assertThrows(
      () => checkPlan(plan, 8, build),
      RangeError,
      "Cannot split model.layers.0.self_attn.q_proj over tp 8",
    );
    assertThrows(() => checkPlan(plan, 3, build), RangeError, "2 heads of keys, and more devices");
  });
}

Deno.test("four devices hold two heads of keys twice, and one of both answers for each", async () => {
  const { layers, plan } = await partsOf("llama"),
    shapes = shapesOf(layers),
    name = "model.layers.0.self_attn";
  const shardsOf = (layer: string) =>
    [0, 1, 2, 3].map((index) => {
      const weight = `${name}.${layer}.weight`;
      return shardOf(plan, weight, shapes.get(weight)!, { size: 4, index })!;
    });
  assertEquals(
    shardsOf("k_proj").map(({ dim, runs: [run], isCopy = false }) => [dim, run.start, run.length, isCopy]),
    [
      [0, 0, 6, false],
      [0, 0, 6, true],
      [0, 6, 6, false],
      [0, 6, 6, true],
    ],
  );
  assertEquals(shardsOf("q_proj").map(({ runs: [run] }) => [run.start, run.length]), [
    [0, 6],
    [6, 6],
    [12, 6],
    [18, 6],
  ]);
  assertEquals(shardsOf("o_proj").map(({ dim }) => dim), [1, 1, 1, 1]);
});
