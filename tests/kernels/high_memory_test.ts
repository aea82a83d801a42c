/**
 * A device of more than 2 GiB computed on wrong memory: `byteOffset >> 2` is negative there, and GPT-2 small reported
 * loss 0. So everything that knows an address runs here above 2, 3 and 3.9 GiB, and across each boundary of a sign.
 */
import { assertEquals } from "@std/assert";
import {
  createDeviceMemory,
  DeviceHeap,
  type DType,
  DTYPE_BYTES,
  type Span,
  WasmBackend,
} from "../../kernels/mod.ts";
import { WIDE_TILE } from "../../kernels/wasm/gemm.ts";
import { testBackend } from "../conformance/backend_cases.ts";
import { HIGH_PLACES } from "../support/high_memory.ts";

Deno.test("DeviceHeap shows the elements of a span wherever it lies below 4 GiB", () => {
  for (const startBytes of Object.values(HIGH_PLACES)) {
    const capBytes = startBytes + 2 ** 20,
      heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
    heap.allocate("what lies before", startBytes / 4, "activations");
    const views = {
      f32: (span: Span) => heap.f32(span),
      i32: (span: Span) => heap.i32(span),
      bf16: (span: Span) => heap.u16(span),
      f64: (span: Span) => heap.f64(span),
    };
    for (const [name, viewOf] of Object.entries(views)) {
      const dtype = name as DType, span = heap.allocate("x", 1000, "activations", dtype), view = viewOf(span);
      assertEquals([view.byteOffset, view.byteLength], [span.byteOffset, 1000 * DTYPE_BYTES[dtype]]);
    }
  }
});

for (const [place, startBytes] of Object.entries(HIGH_PLACES)) {
  testBackend(`wasm at ${place}`, (heap) => new WasmBackend(heap, WIDE_TILE), startBytes);
}
