/** Rings of real workers, and how their results are compared with those of one device. */
import { assert, assertEquals } from "@std/assert";
import { launch, type LaunchOptions, type World } from "../../../actors/mod.ts";
import { eachRun, numElements } from "../../../nn/mod.ts";
import { Mesh } from "../../../strategies/mod.ts";
import { within } from "../../actors/support/world.ts";
import { makeBackend } from "../../support/device.ts";
import {
  type ContextConfig,
  type ContextResult,
  type GptCase,
  runCase,
} from "../programs/context_parallel.ts";
import type { GradientResult, OpCase } from "../programs/attention_op.ts";

const WORLD = 4;

/** Starts four devices in groups `cp1` to `cp4` of the first ranks, and as a mesh of cp 2 and tp 2. */
export function startContext(config: ContextConfig, options: Partial<LaunchOptions> = {}): World {
  const ranks = Array.from({ length: WORLD }, (_, rank) => rank);
  const lines = [2, 3, 4].map((cp) => ({ name: `cp${cp}`, ranks: ranks.slice(0, cp) }));
  const singles = ranks.map((rank) => ({ name: "cp1", ranks: [rank] }));
  const { groups } = new Mesh({ cp: 2, tp: 2 }).topology();
  return launch({
    program: import.meta.resolve("../programs/context_parallel.ts"),
    config,
    topology: { worldSize: WORLD, groups: [...groups, ...lines, ...singles] },
    deviceMemoryBytes: 32 << 20,
    ...options,
  });
}

/** A case with the results of its ranks and of one device. */
export interface Outcome<Case> {
  readonly test: Case;
  readonly ofRanks: readonly ContextResult[];
  readonly ofOne: ContextResult;
}

/** Runs cases in one world. */
export async function runCases<Case extends OpCase | GptCase>(
  cases: readonly Case[],
): Promise<Outcome<Case>[]> {
  const world = startContext({ cases }), results = await within(world.done, world) as ContextResult[][];
  return cases.map((test, i) => {
    const backend = makeBackend(test.kind === "op" ? test.backend : "wasm");
    const positions = Array.from({ length: test.tokens }, (_, t) => t);
    const ofOne = runCase(backend, test, { positions });
    return {
      test,
      ofRanks: results.map((ofRank) => ofRank[i]).filter((result) => result !== undefined),
      ofOne,
    };
  });
}

/** Rows [.., n, width] of all ranks at their places in [.., T, width]; every place is filled once, or by equal ranks. */
export function assemble(
  parts: readonly { readonly positions: readonly number[]; readonly values: Float32Array }[],
  tokens: number,
  width: number,
): Float32Array {
  const n = parts[0].positions.length,
    whole = new Float32Array(parts[0].values.length / n * tokens).fill(NaN);
  for (const { positions, values } of parts) {
    for (let row = 0; row < values.length / width; row++) {
      const at = (Math.floor(row / n) * tokens + positions[row % n]) * width;
      whole.set(values.subarray(row * width, (row + 1) * width), at);
    }
  }
  return whole;
}

/** A whole gradient from shards; those of ranks with the same shard are added. */
export function sumParts(parts: readonly GradientResult[]): Float32Array {
  const whole = new Float32Array(numElements(parts[0].shape));
  for (const { shape, shard, values } of parts) {
    eachRun(shape, shard, (local, global, length) => {
      for (let i = 0; i < length; i++) whole[global + i] += values[local + i];
    });
  }
  return whole;
}

/** Asserts that no element is off by more than `bound` of the largest one. */
export function assertClose(what: string, got: Float32Array, want: Float32Array, bound: number): void {
  assertEquals(got.length, want.length, what);
  const largest = want.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  want.forEach((value, i) => {
    const error = Math.abs(got[i] - value) / largest;
    assert(error <= bound, `${what}: element ${i} is ${got[i]}, not ${value}: off by ${error}, not ${bound}`);
  });
}

/** Gradients of q, k and v [B, n, columns] from those of their tensors, which may be one. */
export function gradientsByPart(test: OpCase, gradients: readonly GradientResult[]): Float32Array[] {
  const { heads, kvHeads = heads, headDim } = test, [q, k] = [heads * headDim, kvHeads * headDim];
  if (gradients.length === 3) return gradients.map(({ values }) => values);
  const all = q + 2 * k, [{ values }] = gradients;
  return [[0, q], [q, q + k], [q + k, all]].map(([start, end]) =>
    values.filter((_, i) => i % all >= start && i % all < end)
  );
}
