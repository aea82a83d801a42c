import { assertEquals, assertThrows } from "@std/assert";
import {
  type AttentionBackwardArgs,
  bisectionTree,
  createBackend,
  createDeviceMemory,
  DeviceHeap,
  type MatmulArgs,
  rowTree,
  type Span,
  subspan,
  type SumTree,
} from "../../kernels/mod.ts";

const CAP = 128 * 2 ** 20;

function open() {
  const heap = new DeviceHeap({ capBytes: CAP, memory: createDeviceMemory(CAP) });
  return { heap, backend: createBackend("wasm", heap) };
}

function noise(heap: DeviceHeap, length: number, seed: number): Span {
  const span = heap.allocate(`noise ${seed}`, length, "workspace");
  heap.f32(span).forEach((_, i, all) => all[i] = Math.sin(seed + 12.9898 * i) * 2);
  return span;
}

/** The sum as its definition says: a plain product for each run, added up in float32. */
function byDefinition(
  heap: DeviceHeap,
  run: (args: MatmulArgs) => void,
  args: MatmulArgs,
  tree: SumTree,
): Float32Array {
  const { m, n, k, a, b, transposeA, transposeB } = args, stack: Float32Array[] = [];
  const lda = transposeA ? m : k, ldb = transposeB ? k : n, c = heap.allocate("leaf", m * n, "workspace");
  tree.leaves.forEach((runs, i) => {
    runs.forEach(({ start, length }, j) =>
      run({
        ...{ m, n, k: length, transposeA, transposeB, lda, ldb, c, accumulate: j > 0 },
        a: subspan(a, transposeA ? start * lda : start),
        b: subspan(b, transposeB ? start : start * ldb),
      })
    );
    let sum = heap.f32(c).slice();
    for (let merge = 0; merge < tree.merges[i]; merge++) {
      const left = stack.pop()!;
      sum = sum.map((value, e) => left[e] + value);
    }
    stack.push(sum);
  });
  return stack[0];
}

const TREES: [string, number, SumTree][] = [
  ["rows of 3 sequences", 3 * 24, rowTree({ sequences: 3, units: 8, unitRows: 3 })],
  ["chunks of a width", 60, bisectionTree([0, 15, 30, 45].map((start) => [{ start, length: 15 }]))],
  [
    "chunks of three fused widths",
    24,
    bisectionTree([0, 4].map((s) => [0, 8, 16].map((p) => ({ start: p + s, length: 4 })))),
  ],
  ["deeper than the packing buffers", 2400, rowTree({ sequences: 3, units: 8, unitRows: 100 })],
  ["leaves deeper than the packing buffers", 4800, rowTree({ sequences: 2, units: 2, unitRows: 1200 })],
];

for (const [name, k, tree] of TREES) {
  for (const [transposeA, transposeB] of [[false, false], [true, false], [false, true]]) {
    Deno.test(`matmul over a tree has the bits of its leaves and their sums: ${name}, ${transposeA} ${transposeB}`, () => {
      const { heap, backend } = open(), m = 13, n = 37;
      const a = noise(heap, m * k, 1), b = noise(heap, k * n, 2), c = heap.allocate("C", m * n, "workspace");
      const args = { m, n, k, a, b, c, transposeA, transposeB, tree };
      const wanted = byDefinition(heap, (leaf) => backend.matmul(leaf), args, tree);
      backend.matmul(args);
      assertEquals(heap.f32(c), wanted);
      backend.matmul({ ...args, accumulate: true });
      assertEquals(heap.f32(c), wanted.map((value) => value + value));
    });
  }
}

Deno.test("matmul refuses a tree of another number of terms", () => {
  const { heap, backend } = open(), [a, b, c] = [1, 2, 3].map((seed) => noise(heap, 64, seed));
  const tree = rowTree({ sequences: 1, units: 2, unitRows: 2 });
  assertThrows(
    () => backend.matmul({ m: 2, n: 2, k: 5, a, b, c, tree }),
    RangeError,
    "the tree has 4 terms, k is 5",
  );
});

/** Attention backward of two heads of one sequence, for the queries of the given runs; returns dQ and the sums dK, dV. */
function backwardOf(tokens: number, runs: readonly number[], kvHeads: number) {
  const { heap, backend } = open(), heads = 2, headDim = 16, width = heads * headDim, size = tokens / 8;
  const queries = runs.length * size,
    whole = noise(heap, tokens * width, 3),
    q = heap.allocate("q", queries * width, "workspace");
  const dWhole = noise(heap, tokens * width, 6), dOut = heap.allocate("dOut", queries * width, "workspace");
  runs.forEach((start, i) => {
    backend.copy(subspan(whole, start * width, size * width), subspan(q, i * size * width, size * width));
    backend.copy(subspan(dWhole, start * width, size * width), subspan(dOut, i * size * width, size * width));
  });
  const zeros = (name: string, rows: number) => heap.allocate(name, rows * width, "workspace");
  const args: AttentionBackwardArgs = {
    ...{
      batch: 1,
      heads,
      kvHeads,
      queries,
      keys: tokens,
      headDim,
      scale: 0.25,
      causal: true,
      queryRuns: runs,
    },
    ...{ ldQ: width, ldK: kvHeads * headDim, ldV: kvHeads * headDim, ldOut: width, q },
    ...{ k: noise(heap, tokens * kvHeads * headDim, 4), v: noise(heap, tokens * kvHeads * headDim, 5) },
    ...{ strideQ: 0, strideK: 0, strideV: 0, strideOut: 0, out: zeros("out", queries), dOut },
    ...{ logSumExp: heap.allocate("lse", heads * queries, "workspace") },
    ...{ dQ: zeros("dQ", queries) },
    ...{ dK: zeros("dK", tokens * kvHeads / heads), dV: zeros("dV", tokens * kvHeads / heads) },
  };
  backend.attention(args);
  backend.attentionBackward(args);
  return { out: heap.f32(args.out), dK: heap.f32(args.dK), dV: heap.f32(args.dV) };
}

// 64 tokens: all scores at a time; 400: run by run, in blocks; the parts of 400 tokens hold fewer queries.
for (const [tokens, kvHeads] of [[64, 2], [400, 2], [64, 1], [400, 1]]) {
  Deno.test(`attention of ranks that hold pairs of eighths sums to the bits of one device: ${tokens} tokens, ${kvHeads} heads of keys`, () => {
    const starts = Array.from({ length: 8 }, (_, i) => i * tokens / 8),
      take = (...units: number[]) => units.map((u) => starts[u]);
    const whole = backwardOf(tokens, starts, kvHeads);
    const halves = [take(0, 1, 6, 7), take(2, 3, 4, 5)].map((runs) => backwardOf(tokens, runs, kvHeads));
    const pairs = [take(0, 7), take(1, 6), take(2, 5), take(3, 4)].map((runs) =>
      backwardOf(tokens, runs, kvHeads)
    );
    for (const name of ["dK", "dV"] as const) {
      assertEquals(halves[0][name].map((value, i) => value + halves[1][name][i]), whole[name]);
      const [a, b, c, d] = pairs.map((part) => part[name]);
      const left = a.map((value, i) => value + b[i]), right = c.map((value, i) => value + d[i]);
      assertEquals(left.map((value, i) => value + right[i]), whole[name]);
    }
    const size = whole.out.length / 8, [first] = pairs;
    assertEquals(first.out.slice(0, size), whole.out.slice(0, size));
    assertEquals(first.out.slice(size), whole.out.slice(7 * size));
  });
}
