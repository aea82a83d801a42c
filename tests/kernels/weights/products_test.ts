import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Backend,
  panelBytes,
  panelsAt,
  placeBlocks,
  placeWeights,
  readWeights,
  type Span,
  WEIGHT_FORMATS,
  type WeightFormat,
} from "../../../kernels/mod.ts";
import { quantiseBlocks } from "../../../files/mod.ts";
import { makeBackend } from "../../support/device.ts";

const wave = (length: number, step: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(step * (i + 1)));

/** A weight of a wave on a backend, in panels. */
function place(backend: Backend, format: WeightFormat, outputs: number, inputs: number): Span {
  const { heap } = backend, words = panelBytes(format, outputs, inputs) / 4;
  const span = heap.allocate("weight", words, "parameters", "i32"), weight = wave(outputs * inputs, 0.37);
  for (let i = 0; i < outputs; i++) {
    placeWeights(panelsAt(heap, span, format, inputs), i, weight.subarray(i * inputs, (i + 1) * inputs));
  }
  return span;
}

function multiply(backend: Backend, format: WeightFormat, [m, n, k]: readonly number[], x: Float32Array) {
  const { heap } = backend, take = (length: number) => heap.allocate("x", length, "activations");
  const [a, c, bias] = [m * k, m * n, n].map(take), b = place(backend, format, n, k);
  heap.f32(a).set(x.subarray(0, m * k));
  heap.f32(bias).set(wave(n, 1.1));
  backend.matmul({ m, n, k, a, b, c, packedB: format, epilogue: { kind: "bias", bias } });
  return heap.f32(c).slice();
}

for (const format of WEIGHT_FORMATS) {
  Deno.test(`products with weights in ${format} are those of the reference, for any shape`, () => {
    for (const sizes of [[1, 16, 32], [3, 20, 64], [5, 1, 96], [70, 33, 32], [4, 48, 800], [1, 150, 96]]) {
      const x = wave(sizes[0] * sizes[2], 0.71);
      const found = multiply(makeBackend(), format, sizes, x);
      const expected = multiply(makeBackend("reference"), format, sizes, x);
      const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      // Sums of 800 terms at most, in float32.
      found.forEach((value, i) =>
        assert(
          Math.abs(value - expected[i]) <= 1e-5 * largest,
          `${sizes}, ${i}: ${value}, not ${expected[i]}`,
        )
      );
    }
  });

  Deno.test(`a row has the same bits in any company: weights in ${format}`, () => {
    const [n, k] = [150, 96], x = wave(130 * k, 0.71), all = multiply(makeBackend(), format, [130, n, k], x);
    for (const first of [0, 1, 63, 64, 127]) {
      const alone = multiply(makeBackend(), format, [1, n, k], x.subarray(first * k));
      assertEquals(alone, all.slice(first * n, (first + 1) * n));
    }
  });

  Deno.test(`rows of a table in ${format} are looked up as they are read`, () => {
    for (const name of ["wasm", "reference"] as const) {
      const backend = makeBackend(name), { heap } = backend, [rows, cols] = [37, 64];
      const table = place(backend, format, rows, cols), row = new Float32Array(cols);
      const ids = heap.allocate("ids", 3, "activations", "i32"),
        out = heap.allocate("out", 3 * cols, "activations");
      heap.i32(ids).set([36, -1, 5]);
      backend.gather({ rows: 3, cols, ids, table, packedTable: format, out });
      readWeights(panelsAt(heap, table, format, cols), 36, row);
      assertEquals(heap.f32(out).slice(0, cols), row);
      assertEquals(heap.f32(out).slice(cols, 2 * cols), new Float32Array(cols));
      const [close] = [wave(rows * cols, 0.37).subarray(5 * cols)],
        share = { bf16: 2 ** -8, q8_0: 0.01, q4_0: 0.13 };
      heap.f32(out).slice(2 * cols).forEach((value, i) => assert(Math.abs(value - close[i]) < share[format]));
      heap.i32(ids).set([48, 0, 0]);
      const gather = () => backend.gather({ rows: 3, cols, ids, table, packedTable: format, out });
      assertThrows(gather, RangeError, "Cannot gather row 48");
    }
  });
}

Deno.test("rows that are no numbers, or zeros, stay so", () => {
  for (const format of WEIGHT_FORMATS) {
    const x = new Float32Array(64);
    x[33] = NaN;
    const [zeros, nans] = [0, 32].map((first) =>
      multiply(makeBackend(), format, [1, 16, 32], x.subarray(first))
    );
    assertEquals([...zeros], [...wave(16, 1.1)]);
    assert(nans.every(Number.isNaN), format);
  }
});

Deno.test("blocks that are placed are read as they are", () => {
  const { heap } = makeBackend(), weights = wave(96, 0.9);
  for (const format of ["q8_0", "q4_0"] as const) {
    const span = heap.allocate("weight", panelBytes(format, 2, 96) / 4, "parameters", "i32");
    const panels = panelsAt(heap, span, format, 96),
      [rounded, placed] = [new Float32Array(96), new Float32Array(96)];
    placeWeights(panels, 0, weights);
    placeBlocks(panels, format, 1, quantiseBlocks(format, weights));
    readWeights(panels, 0, rounded);
    readWeights(panels, 1, placed);
    assertEquals(placed, rounded);
  }
});

Deno.test("a weight in panels must have whole blocks, and all of them", () => {
  const backend = makeBackend(),
    b = place(backend, "q8_0", 16, 64),
    a = backend.heap.allocate("a", 999, "activations");
  const run = (n: number, k: number) => () => backend.matmul({ m: 1, n, k, a, b, c: a, packedB: "q8_0" });
  assertThrows(run(16, 33), RangeError, "k is 33, it must be a multiple of 32");
  assertThrows(run(17, 64), RangeError, "its span has 1152");
});
