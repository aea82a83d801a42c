/**
 * A device of more than 2 GiB computed on wrong memory: `byteOffset >> 2` is negative there, and GPT-2 small reported
 * loss 0. So everything that knows an address runs here above 2, 3 and 3.9 GiB, and across each boundary of a sign.
 */
import { assertEquals } from "@std/assert";
import { createDeviceMemory, DeviceHeap, DTYPE_BYTES, WasmBackend } from "../../kernels/mod.ts";
import { WIDE_TILE } from "../../kernels/wasm/gemm.ts";
import { testBackend } from "../conformance/backend_cases.ts";
import { HIGH_PLACES } from "../support/high_memory.ts";

Deno.test("DeviceHeap shows the elements of a span wherever it lies below 4 GiB", () => {
  for (const startBytes of Object.values(HIGH_PLACES)) {
    const capBytes = startBytes + 2 ** 20,
      heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
    heap.allocate("what lies before", startBytes / 4, "activations");
    for (const dtype of ["f32", "i32", "bf16", "f64"] as const) {
      const span = heap.allocate("x", 1000, "activations", dtype);
      const view = { f32: heap.f32, i32: heap.i32, bf16: heap.u16, f64: heap.f64 }[dtype].call(heap, span);
      assertEquals([view.byteOffset, view.byteLength], [span.byteOffset, 1000 * DTYPE_BYTES[dtype]]);
    }
  }
});

for (const [place, startBytes] of Object.entries(HIGH_PLACES)) {
  testBackend(`wasm at ${place}`, (heap) => new WasmBackend(heap, WIDE_TILE), startBytes);
}
