import { assertEquals } from "@std/assert";
import { bf16Backend, createBackend, createDeviceMemory, DeviceHeap, SOFTMAX } from "../../../kernels/mod.ts";
import { testBackend } from "../../conformance/backend_cases.ts";
import { mirrorBackend } from "../support/bf16_mirror.ts";

testBackend("bf16 everywhere", (heap) => mirrorBackend(createBackend("wasm", heap), () => true));
testBackend(
  "bf16 here and there",
  (heap) => mirrorBackend(createBackend("wasm", heap), (line) => line % 3 > 0),
);

Deno.test("on a heap without memory bf16 takes the same workspace and computes nothing", () => {
  const capBytes = 32 << 20, phantom = new DeviceHeap({ capBytes });
  const real = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const tables = [real, phantom].map((heap) => {
    const backend = bf16Backend(createBackend("wasm", heap)), size = { m: 700, n: 70, k: 600 };
    const [a, b, c, x] = [size.m * size.k, size.k * size.n, size.m * size.n, 40_000].map((length) =>
      heap.allocate("x", length, "activations", "bf16")
    );
    for (const span of [x, a, b]) backend.fill(1, span);
    backend.scale(2, x);
    backend.matmul({ ...size, a, b, c });
    backend.row(SOFTMAX, { rows: 4, cols: 10_000, x, out: x });
    return [backend.sumSquares(x) > 0, heap.usedBytes(), heap.extentBytes];
  });
  assertEquals([tables[0][0], ...tables[1]], [true, false, ...tables[0].slice(1)]);
});
