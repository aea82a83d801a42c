/**
 * Models on tensor groups of real workers, and how they are compared with the same models on one device.
 *
 * Bounds: both compute the same sums in float32, in another order. A sum of K terms in another order is off by about
 * eps sqrt(K) of the size of its terms; a value has gone through up to 8 sums in each of L blocks, 4 forward and 4
 * backward, whose errors add like those of independent roundings: eps sqrt(8 L K) of the largest value of its tensor.
 * K is the widest sum: over the vocabulary, the inner width or the rows.
 */
import { assert, assertEquals } from "@std/assert";
import { launch } from "../../../actors/mod.ts";
import { eachRun, numElements } from "../../../nn/mod.ts";
import { EPS } from "../../conformance/backend_pair.ts";
import { within } from "../../support/deadline.ts";
import { makeBackend } from "../../support/device.ts";
import type { TestModel } from "../programs/models.ts";
import { type PartResult, type PassResult, runPass, type TensorCase } from "../programs/tensor_parallel.ts";

const WORLD = 6;

/** Runs cases in one world, each on its first ranks. */
export async function runCases(cases: readonly TensorCase[]): Promise<PassResult[][]> {
  const ranks = Array.from({ length: WORLD }, (_, rank) => rank);
  const groups = ranks.map((last) => ({ name: `tp${last + 1}`, ranks: ranks.slice(0, last + 1) }));
  const world = launch({
    program: import.meta.resolve("../programs/tensor_parallel.ts"),
    config: cases,
    topology: { worldSize: WORLD, groups },
    deviceMemoryBytes: 256 << 20,
  });
  const results = await within(world.done, {
    describe: () => JSON.stringify(world.status()),
  }) as PassResult[][];
  return cases.map(({ tp }, i) => results.slice(0, tp).map((ofRank) => ofRank[i]));
}

function whole(parts: readonly PartResult[], field: "values" | "gradient"): Float32Array {
  const { shape } = parts[0], result = new Float32Array(numElements(shape)).fill(NaN);
  for (const { shard, ...part } of parts) {
    eachRun(shape, shard, (local, global, length) => {
      result.set(part[field].subarray(local, local + length), global);
    });
  }
  return result;
}

function largest(values: Float32Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
}

/** Largest difference, as a part of the largest value; NaN stays. */
function errorOf(got: Float32Array, want: Float32Array): number {
  assertEquals(got.length, want.length);
  return largest(got.map((value, i) => value - want[i])) / largest(want);
}

/** Asserts that the ranks have the losses and gradients of one device. */
export function checkCase(test: TensorCase, ranks: readonly PassResult[]): void {
  const want = runPass(makeBackend(), test.model), bound = boundOf(test.model);
  assert(errorOf(ranks[0].losses, want.losses) <= bound, "losses differ");
  for (const { losses, evaluation } of ranks) {
    assertEquals(losses, ranks[0].losses, "losses differ between ranks");
    assertEquals(evaluation, losses, "losses without a backward pass differ");
  }
  for (const [i, part] of want.parts.entries()) {
    const parts = ranks.map((rank) => rank.parts[i]);
    assertEquals(whole(parts, "values"), part.values, `values of ${part.name}`);
    const error = errorOf(whole(parts, "gradient"), part.gradient);
    assert(error <= bound, `gradient of ${part.name} is off by ${error} of its largest value, not ${bound}`);
    for (const { shard, gradient } of parts) {
      if (shard === undefined) {
        assertEquals(gradient, parts[0].gradient, `${part.name} differs between ranks`);
      }
    }
  }
}

function boundOf(model: TestModel): number {
  const rows = numElements(model.batch);
  if (model.kind === "grouped") return EPS * Math.sqrt(8 * Math.max(model.config.vocab, rows));
  // From the entry to the head of the gated model are 5 products and 2 norms, and as many back; then the rows of a bias.
  const numSums = model.kind === "gated rms" ? 16 : 8;
  if (model.kind !== "gpt") return EPS * Math.sqrt(numSums * Math.max(model.sizes.hidden, rows));
  const { layers, embed, vocab } = model.config;
  return EPS * Math.sqrt(8 * layers * Math.max(vocab, 4 * embed, rows));
}
