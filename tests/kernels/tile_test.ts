import { assert, assertEquals } from "@std/assert";
import { createDeviceMemory, DeviceHeap, type MatmulArgs, subspan, WasmBackend } from "../../kernels/mod.ts";
import { chooseTile } from "../../kernels/wasm/choose_tile.ts";
import { NARROW_TILE, WIDE_TILE } from "../../kernels/wasm/gemm.ts";
import { noise } from "../conformance/backend_pair.ts";
import { fingerprint } from "./support/fingerprint.ts";

Deno.test("every operation has the same bits with the narrow and the wide tile", () => {
  assertEquals(fingerprint(NARROW_TILE), fingerprint(WIDE_TILE));
});

Deno.test("chooseTile() takes the faster tile and says why", () => {
  const { tile, reason, narrowGflops, wideGflops } = chooseTile();
  assertEquals(tile, wideGflops > narrowGflops ? WIDE_TILE : NARROW_TILE);
  assert(/^(128|256)-bit vectors: narrow \d+, wide \d+ GFLOP\/s$/.test(reason), reason);
  assert(chooseTile() === chooseTile(), "measured once");
});

/** Whatever V8 does with the code: all functions optimised at once, with and without 256-bit vectors. */
const SETTINGS = [
  "--liftoff-only",
  "--no-liftoff",
  "--no-liftoff,--experimental-wasm-revectorize,--no-wasm-bounds-checks",
];

Deno.test("every operation has the same bits in each compiler of V8, with and without the fast flags", () => {
  const program = new URL("./support/fingerprint.ts", import.meta.url).pathname;
  const want = fingerprint(NARROW_TILE);
  for (const flags of SETTINGS) {
    const args = ["run", "--no-prompt", "--no-check", `--v8-flags=${flags}`, program];
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), { args }).outputSync();
    const text = new TextDecoder().decode(stdout);
    assert(text !== "", new TextDecoder().decode(stderr));
    for (const got of JSON.parse(text)) assertEquals(got, want, flags);
  }
});

const M = 41, N = 70, K = 530;

/** A device with A, B and C = A B, and a function that multiplies into a fresh C. */
function product() {
  const capBytes = 16 * 2 ** 20;
  const heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const backend = new WasmBackend(heap, NARROW_TILE);
  const tensor = (values: Float32Array) => {
    const span = heap.allocate("test", values.length, "activations");
    heap.f32(span).set(values);
    return span;
  };
  const a = tensor(noise(M * K, 1)), b = tensor(noise(K * N, 2));
  const multiply = (args: Partial<MatmulArgs>) => {
    const c = heap.allocate("C", M * N, "activations");
    backend.matmul({ m: M, n: N, k: K, a, b, c, ...args });
    return heap.f32(c).slice(0, (args.m ?? M) * (args.n ?? N));
  };
  return { heap, tensor, a, b, multiply, whole: multiply({}) };
}

Deno.test("matmul() of some rows or columns has the bits of the whole product", () => {
  const { a, b, multiply, whole } = product();
  for (const [first, m] of [[0, 1], [5, 13], [40, 1], [6, 35]]) {
    const rows = multiply({ m, a: subspan(a, first * K) });
    assertEquals(rows, whole.slice(first * N, (first + m) * N));
  }
  for (const [first, n] of [[0, 1], [3, 21], [69, 1], [16, 54]]) {
    const columns = multiply({ n, b: subspan(b, first), ldb: N });
    const want = whole.filter((_, i) => i % N >= first && i % N < first + n);
    assertEquals(columns, want);
  }
});

Deno.test("matmul() of stored transposes has the bits of the plain product", () => {
  const { heap, a, b, tensor, multiply, whole } = product();
  const transpose = (values: Float32Array, rows: number, cols: number) =>
    values.map((_, i) => values[(i % rows) * cols + Math.floor(i / rows)]);
  const aT = tensor(transpose(heap.f32(a), M, K)), bT = tensor(transpose(heap.f32(b), K, N));
  assertEquals(multiply({ a: aT, transposeA: true }), whole);
  assertEquals(multiply({ b: bT, transposeB: true }), whole);
  assertEquals(multiply({ a: aT, b: bT, transposeA: true, transposeB: true }), whole);
});
