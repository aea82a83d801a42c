import { assertEquals, assertThrows } from "@std/assert";
import { type Backend, createBackend, createDeviceMemory, DeviceHeap, rowTree } from "../../kernels/mod.ts";

function attend(backend: Backend, keys: number): void {
  const { heap } = backend, size = { batch: 1, heads: 2, headDim: 4, queries: keys, keys };
  const span = (name: string, length: number) => heap.allocate(name, length, "activations");
  const [q, k, v, out] = ["q", "k", "v", "out"].map((name) => span(name, keys * 8));
  const strides = { strideQ: keys * 8, strideK: keys * 8, strideV: keys * 8, strideOut: keys * 8 };
  const lds = { ldQ: 8, ldK: 8, ldV: 8, ldOut: 8 }, logSumExp = span("lse", keys * 2);
  backend.attention({ ...size, ...strides, ...lds, q, k, v, out, logSumExp, scale: 0.5, causal: true });
}

function scatter(backend: Backend, sequences: number): void {
  const { heap } = backend,
    rows = 4 * sequences,
    cols = 3,
    tree = rowTree({ sequences, units: 2, unitRows: 2 });
  const x = heap.allocate("x", rows * cols, "activations"),
    ids = heap.allocate("ids", rows, "activations", "i32");
  const table = heap.allocate("table", 10 * sequences * cols, "gradients");
  if (heap.memory !== undefined) heap.i32(ids).fill(1);
  backend.scatterAdd({ rows, cols, ids, x, table });
  backend.scatterAdd({ rows, cols, ids, x, table, tree });
}

function multiply(backend: Backend, sequences: number): void {
  const { heap } = backend, rows = 4 * sequences, tree = rowTree({ sequences, units: 2, unitRows: 2 });
  const span = (name: string, length: number) => heap.allocate(name, length, "activations");
  const size = { m: 5, n: 3, k: rows }, [a, b, c] = [5 * rows, 3 * rows, 15].map((n) => span("x", n));
  backend.matmul({ ...size, a, b, c, transposeA: true });
  backend.matmul({ ...size, a, b, c, transposeA: true, tree });
}

for (const name of ["wasm", "reference"] as const) {
  Deno.test(`on a heap without memory the ${name} backend takes the same bytes and computes nothing`, () => {
    const capBytes = 32 << 20, phantom = createBackend(name, new DeviceHeap({ capBytes }));
    const real = createBackend(name, new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) }));
    assertEquals([phantom.name, real.name], [name, name]);
    for (const keys of [16, 40]) {
      for (const backend of [phantom, real]) attend(backend, keys);
      assertEquals(phantom.heap.usedBytes(), real.heap.usedBytes());
      assertEquals(phantom.heap.extentBytes, real.heap.extentBytes);
    }
    for (const sequences of [8, 40, 8]) {
      for (const backend of [phantom, real]) scatter(backend, sequences);
      assertEquals(phantom.heap.usedBytes(), real.heap.usedBytes());
    }
    // The second tree is summed in several groups.
    for (const sequences of [2, 600]) {
      for (const backend of [phantom, real]) multiply(backend, sequences);
      assertEquals(phantom.heap.usedBytes(), real.heap.usedBytes());
    }
    const x = phantom.heap.allocate("x", 4, "activations");
    phantom.fill(1, x);
    assertEquals(phantom.sumSquares(x), 0);
  });
}

Deno.test("a heap's extent is the smallest cap that its allocations fit in", () => {
  const heap = new DeviceHeap({ capBytes: 1 << 20 });
  heap.allocate("x", 1000, "activations");
  const capBytes = heap.extentBytes;
  new DeviceHeap({ capBytes }).allocate("x", 1000, "activations");
  assertThrows(() => new DeviceHeap({ capBytes: capBytes - 1 }).allocate("x", 1000, "activations"));
});
