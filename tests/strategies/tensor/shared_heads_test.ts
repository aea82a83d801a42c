/** Attention whose heads of queries share heads of keys, on tensor groups of real workers against one device. */
import { assertThrows } from "@std/assert";
import { checkPlan } from "../../../strategies/mod.ts";
import { buildGrouped, type GroupedConfig, groupedPlan } from "../programs/grouped_model.ts";
import type { TensorCase } from "../programs/tensor_parallel.ts";
import { checkCase, runCases } from "../support/tensor_world.ts";

function groupedCase(
  tp: number,
  kvHeads: number,
  isSeparate: boolean,
  sequenceParallel: boolean,
): TensorCase {
  const config: GroupedConfig = { vocab: 67, heads: 2 * kvHeads, kvHeads, headDim: 4, isSeparate };
  const title = `${kvHeads} heads of keys on tp ${tp}${isSeparate ? ", three projections" : ""}${
    sequenceParallel ? ", sp" : ""
  }`;
  const model = { kind: "grouped", config, batch: [3, 7] } as const;
  return { title, model, tp, plan: groupedPlan(config), sequenceParallel };
}

// Three heads of keys over two ranks: one has twice the work of the other.
const CASES = [[2, 2], [2, 3], [4, 4], [1, 2]].flatMap(([tp, kvHeads]) =>
  [false, true].flatMap((isSeparate) =>
    [false, true].map((sequenceParallel) => groupedCase(tp, kvHeads, isSeparate, sequenceParallel))
  )
);

Deno.test("attention of shared heads on tensor groups has the losses and gradients of one device", async (t) => {
  const results = await runCases(CASES);
  for (const [i, test] of CASES.entries()) await t.step(test.title, () => checkCase(test, results[i]));
});

Deno.test("checkPlan() refuses more ranks than heads of keys, by name and numbers", () => {
  const config = { vocab: 67, heads: 8, kvHeads: 2, headDim: 4 };
  const check = (isSeparate: boolean) => () =>
    checkPlan(
      groupedPlan({ ...config, isSeparate }),
      4,
      (scope) => buildGrouped(scope, { ...config, isSeparate }),
    );
  assertThrows(
    check(false),
    RangeError,
    "Cannot split attn.c_attn over tp 4: dim 1 of attn.c_attn.weight [32, 48] has 2 units of 16 + 4 + 4, " +
      "and every device needs at least one",
  );
  assertThrows(
    check(true),
    RangeError,
    "Cannot split attn.q_proj over tp 4: dim 1 of attn.q_proj.weight [32, 32] has 2",
  );
});
