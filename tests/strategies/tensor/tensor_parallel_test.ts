/**
 * Models on tensor groups of real workers against the same models on one device.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type GptConfig, gptPlan } from "../../../models/mod.ts";
import { Linear, Scope, Tape } from "../../../nn/mod.ts";
import { type ParallelPlan, TensorParallel } from "../../../strategies/mod.ts";
import { fakeGroup } from "../support/fake_group.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";
import { buildModel, type Sizes } from "../programs/models.ts";
import { runPass, type TensorCase } from "../programs/tensor_parallel.ts";
import { checkCase, runCases } from "../support/tensor_world.ts";

interface GptCase {
  readonly tp: number;
  readonly heads: number;
  readonly vocab?: number;
  readonly batch?: readonly [number, number];
  readonly sequenceParallel?: boolean;
  readonly deferWeights?: boolean;
  readonly layers?: number;
  readonly embed?: number;
}

function gptCase(options: GptCase): TensorCase {
  const { tp, heads, vocab = 259, batch = [3, 7], sequenceParallel = false, deferWeights, layers = 2 } =
    options;
  const config: GptConfig = { layers, heads, embed: options.embed ?? 8 * heads, context: 64, vocab };
  const what = `${heads} heads, vocabulary ${vocab}, ${batch.join(" x ")} tokens`;
  const title = `GPT on tp ${tp}${sequenceParallel ? " sp" : ""}${deferWeights ? ", deferred" : ""}: ${what}`;
  const model = { kind: "gpt", config, batch } as const;
  return { title, model, tp, plan: gptPlan(config), sequenceParallel, deferWeights };
}

const MLP_PLAN: ParallelPlan = { first: { kind: "column" }, second: { kind: "row" } };
const HEAD_PLAN: ParallelPlan = { first: { kind: "whole" }, second: { kind: "head" } };
const GATED_PLAN: ParallelPlan = {
  entry: { kind: "whole" },
  stem: { kind: "local" },
  tune: { kind: "local" },
  side: { kind: "column" },
  gate: { kind: "column" },
  up: { kind: "column" },
  down: { kind: "row" },
  head: { kind: "head" },
};
const SIZES: Sizes = { inputs: 10, width: 12, hidden: 23, classes: 7 };

function ownCase(
  kind: "mlp" | "gated" | "gated rms",
  plan: ParallelPlan,
  tp: number,
  sequenceParallel: boolean,
): TensorCase {
  const title = `${kind} with a ${Object.values(plan).at(-1)!.kind} on tp ${tp}${
    sequenceParallel ? " sp" : ""
  }`;
  return { title, model: { kind, sizes: SIZES, batch: [13] }, tp, plan, sequenceParallel };
}

const CASES: TensorCase[] = [
  ...[false, true].flatMap((sequenceParallel) => [
    gptCase({ tp: 2, heads: 4, vocab: 64, batch: [2, 8], sequenceParallel }),
    gptCase({ tp: 2, heads: 3, sequenceParallel }),
    gptCase({ tp: 3, heads: 4, vocab: 257, sequenceParallel }),
    gptCase({ tp: 4, heads: 4, sequenceParallel }),
    gptCase({ tp: 4, heads: 5, batch: [1, 5], sequenceParallel }),
    gptCase({ tp: 5, heads: 6, sequenceParallel }),
    gptCase({ tp: 6, heads: 6, sequenceParallel }),
    gptCase({ tp: 1, heads: 2, sequenceParallel }),
    gptCase({ tp: 2, heads: 3, sequenceParallel, deferWeights: true }),
    ownCase("mlp", HEAD_PLAN, 3, sequenceParallel),
    ownCase("gated", GATED_PLAN, 2, sequenceParallel),
    ownCase("gated", GATED_PLAN, 4, sequenceParallel),
    ownCase("gated rms", GATED_PLAN, 2, sequenceParallel),
    ownCase("gated rms", GATED_PLAN, 4, sequenceParallel),
  ]),
  ownCase("mlp", MLP_PLAN, 2, false),
];

Deno.test("models on tensor groups have the losses and gradients of one device", async (t) => {
  const results = await runCases(CASES);
  for (const [i, test] of CASES.entries()) await t.step(test.title, () => checkCase(test, results[i]));

  await t.step("sequence parallelism keeps a part of the activations, deferred weights more", () => {
    const bytesOf = (title: string) => {
      const place = CASES.findIndex((test) => test.title.startsWith(title));
      return results[place].reduce((sum, { activationBytes }) => sum + activationBytes, 0);
    };
    assert(bytesOf("GPT on tp 4 sp") < bytesOf("GPT on tp 4:"));
    assert(bytesOf("GPT on tp 2, deferred") > bytesOf("GPT on tp 2: 3 heads"));
  });
});

/** Whole lines for every rank, and more than an eager payload. */
const BLOCK = { heads: 4, embed: 64, vocab: 64, batch: [4, 16] } as const;

Deno.test("a block moves 4 all-reduces of its activations, or their halves under sequence parallelism", async () => {
  const cases = [2, 4].flatMap((tp) =>
    [false, true].flatMap((sequenceParallel) =>
      [1, 2].map((layers) => gptCase({ ...BLOCK, tp, layers, sequenceParallel }))
    )
  );
  const results = await runCases(cases), activations = 4 * 16 * 64 * 4;
  for (let i = 0; i < cases.length; i += 2) {
    const { tp: n, title } = cases[i];
    for (const [rank, { bytes }] of results[i + 1].entries()) {
      const ofBlock = bytes.map((moved, pass) => moved - results[i][rank].bytes[pass]);
      // Forward and backward: 2 all-reduces, or 2 all-gathers and 2 reduce-scatters.
      const expected = 2 * (2 * (n - 1) / n * activations);
      assertEquals(ofBlock, [expected, expected], `${title}, rank ${rank}`);
    }
  }
});

/** What a rank of a group in which nobody answers asks of it: two runs forward and backward, and one forward. */
function callsOf(test: TensorCase, index: number): string[] {
  const calls: string[] = [];
  const group = fakeGroup(test.tp, index, {
    allReduce: (_, options) => calls.push(`sum: ${options?.label}`),
    allGather: (_input, _output, options) => calls.push(`gather: ${options?.label}`),
    reduceScatter: (_input, _output, options) => calls.push(`scatter: ${options?.label}`),
  });
  const sharding = new TensorParallel(group, test.plan, test), { spreadCrossEntropy } = sharding;
  runPass(makeBackend(), test.model, { sharding, spreadCrossEntropy });
  return calls;
}

Deno.test("every collective names the layer that it is for, in the order of the passes", () => {
  const test = gptCase({ tp: 2, heads: 2, layers: 1 });
  assertEquals(callsOf(test, 0).slice(0, 8), [
    "sum: wte: output",
    "sum: h.0.attn.c_proj: output",
    "sum: h.0.mlp.c_proj: output",
    "sum: lm_head: maximum of the logits",
    "sum: lm_head: sums of the loss",
    "sum: lm_head: gradient of its input",
    "sum: h.0.mlp.c_fc: gradient of its input",
    "sum: h.0.attn.c_attn: gradient of its input",
  ]);
  const spread = gptCase({ tp: 2, heads: 2, layers: 1, sequenceParallel: true });
  assertEquals(callsOf(spread, 1).slice(0, 10), [
    "scatter: wte: output",
    "gather: h.0.attn.c_attn: rows of its input",
    "scatter: h.0.attn.c_proj: output",
    "gather: h.0.mlp.c_fc: rows of its input",
    "scatter: h.0.mlp.c_proj: output",
    "gather: lm_head: rows of its input",
    "sum: lm_head: maximum of the logits",
    "sum: lm_head: sums of the loss",
    "scatter: lm_head: gradient of its input",
    "gather: h.0.mlp.c_proj: gradient of its output",
  ]);
});

/** Records a model without memory, as rank `index` of a group. */
function recordPhantom(test: TensorCase, index = 0): void {
  const parallel = new TensorParallel(fakeGroup(test.tp, index), test.plan, test),
    backend = phantomBackend();
  const model = buildModel(Scope.root(backend.heap, 1, parallel), test.model);
  const tape = new Tape({
    backend,
    training: true,
    placement: { spreadCrossEntropy: parallel.spreadCrossEntropy },
  });
  const { inputs, targets } = { inputs: tape.input("x", [13, 10]), targets: tape.input("y", [13], "i32") };
  model.loss(tape, inputs, targets);
}

Deno.test("TensorParallel refuses by name what cannot work", () => {
  assertThrows(
    () => recordPhantom(ownCase("mlp", MLP_PLAN, 2, true)),
    RangeError,
    "Cannot compute the loss of second.bias [7, 7] for 13 targets",
  );
  assertThrows(
    () => recordPhantom(ownCase("mlp", { first: { kind: "column" } }, 2, false)),
    RangeError,
    "Cannot apply second.weight [23, 7] to first [13, 11]",
  );
  const { gate: _, ...rest } = GATED_PLAN;
  assertThrows(
    () => recordPhantom(ownCase("gated", { ...rest, entry: { kind: "column" } }, 2, false)),
    RangeError,
    "Cannot apply stem.weight [12, 12] to entry [13, 6]",
  );
  const parallel = new TensorParallel(fakeGroup(2, 0), GATED_PLAN, { sequenceParallel: true });
  const tape = new Tape({ backend: phantomBackend(), training: true });
  parallel.beginLocal(tape, [2, 3]);
  assertThrows(() => parallel.beginLocal(tape, [6]), RangeError, "those of this tape are [2, 3]");
  const single = new Tape({ backend: phantomBackend(), training: true });
  assertThrows(() => parallel.beginLocal(single, [1]), RangeError, "needs more than one");
});

Deno.test("localShape() is that of a chunk of the rows under sequence parallelism", () => {
  const shapes = (options: { sequenceParallel: boolean }) =>
    [0, 1, 2].map((i) => new TensorParallel(fakeGroup(3, i), {}, options).localShape([2, 2, 8]));
  assertEquals(shapes({ sequenceParallel: false }), [[2, 2, 8], [2, 2, 8], [2, 2, 8]]);
  assertEquals(shapes({ sequenceParallel: true }), [[2, 8], [2, 8], [0, 8]]);
});

Deno.test("beginLocal() lets a tape start with the rows that a stage before has scattered", () => {
  const parallel = new TensorParallel(fakeGroup(2, 1), GATED_PLAN, { sequenceParallel: true });
  const { heap } = phantomBackend(), backend = phantomBackend();
  const gate = new Linear(Scope.root(heap, 1, parallel).child("gate"), { inputs: 12, outputs: 23 });
  const tape = new Tape({ backend, training: true }), { tensor } = tape.handoff("rows", [3, 12]);
  parallel.beginLocal(tape, [7]);
  assertEquals(gate.forward(tape, tensor).shape, [7, 12]);
  // A tape that begins with all rows has nothing to gather.
  const other = new Tape({ backend, training: true });
  assertEquals(gate.forward(other, other.input("x", [7, 12])).shape, [7, 12]);
});

Deno.test("one input of several column layers is made whole once", () => {
  const calls = callsOf(ownCase("gated", GATED_PLAN, 2, true), 0);
  assertEquals(calls.filter((call) => call === "gather: gate: rows of its input").length, 3);
  assertEquals(calls.filter((call) => call.startsWith("gather: up")), []);
});
