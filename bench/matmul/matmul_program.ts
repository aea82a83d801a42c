/** Our matmul as a contestant: run with and without V8's flags. */
import { createBackend, createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";
import { operandElement, type PreparedProduct, timeProduct } from "./matmul_contestant.ts";
import type { MatmulShape } from "./matmul_shapes.ts";
import { serve } from "../serve.ts";

const MEMORY_BYTES = 256 * 2 ** 20;

/** Prepares products on the memory of one device. */
export function wasmProducts(): (shape: MatmulShape) => PreparedProduct {
  const heap = new DeviceHeap({ capBytes: MEMORY_BYTES, memory: createDeviceMemory(MEMORY_BYTES) });
  const backend = createBackend("wasm", heap);
  return ({ m, n, k, transposeA, transposeB }) => {
    const a = heap.allocate("A", m * k, "workspace"), b = heap.allocate("B", k * n, "workspace");
    const c = heap.allocate("C", m * n, "workspace");
    for (const span of [a, b]) heap.f32(span).forEach((_, i, values) => values[i] = operandElement(i));
    const args = { m, n, k, a, b, c, transposeA, transposeB };
    return {
      run: () => backend.matmul(args),
      last: () => heap.f32(c)[m * n - 1],
      dispose: () => [a, b, c].forEach((span) => heap.free(span)),
    };
  };
}

if (import.meta.main) {
  await serve(() => {
    const prepare = wasmProducts();
    return Promise.resolve((task: Parameters<typeof timeProduct>[1]) => timeProduct(prepare, task));
  });
}
