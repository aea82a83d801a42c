/**
 * Models on tensor groups of real workers against the same models on one device.
 *
 * Bounds: both compute the same sums in float32, in another order. A value went through a chain of sums, of up to K
 * terms each, and a sum of K terms in another order is off by about eps sqrt(K) of the size of its terms. With 4 sums in
 * each block forward and as many backward, a bound is 8 x layers x eps x sqrt(K) of the largest value of its tensor.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { eachRun, type GptConfig, numElements } from "../../nn/mod.ts";
import { checkPlan, gptPlan, type ParallelPlan } from "../../strategies/mod.ts";
import { within } from "../actors/support/world.ts";
import { EPS } from "../conformance/backend_pair.ts";
import { makeBackend } from "../support/device.ts";
import { buildModel, type Sizes, type TestModel } from "./programs/models.ts";
import { type PartResult, type PassResult, runPass, type TensorCase } from "./programs/tensor_parallel.ts";

const WORLD = 6;

async function runCases(cases: readonly TensorCase[]): Promise<PassResult[][]> {
  const ranks = Array.from({ length: WORLD }, (_, rank) => rank);
  const groups = ranks.map((last) => ({ name: `tp${last + 1}`, ranks: ranks.slice(0, last + 1) }));
  const world = launch({
    program: import.meta.resolve("./programs/tensor_parallel.ts"),
    config: cases,
    topology: { worldSize: WORLD, groups },
    deviceMemoryBytes: 256 << 20,
  });
  const results = await within(world.done, world, 60_000) as PassResult[][];
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
