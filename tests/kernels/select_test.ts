import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BACKEND_NAMES,
  type BackendName,
  createBackend,
  createDeviceMemory,
  DeviceHeap,
  kernelCapabilities,
} from "../../kernels/mod.ts";

const CAP = 16 * 2 ** 20;

Deno.test("createBackend() makes each backend by its name", () => {
  for (const name of BACKEND_NAMES) {
    const backend = createBackend(name, new DeviceHeap({ capBytes: CAP, memory: createDeviceMemory(CAP) }));
    assertEquals(backend.name, name);
    const x = backend.heap.allocate("x", 3, "activations");
    backend.fill(2, x);
    assertEquals(backend.sumSquares(x), 12);
  }
});

Deno.test("createBackend() accepts a heap that only counts", () => {
  const phantom = new DeviceHeap({ capBytes: CAP });
  createBackend("wasm", phantom);
  assert(phantom.usedBytes().workspace > 0);
});

Deno.test("createBackend() names the choices when there is no such backend", () => {
  const heap = new DeviceHeap({ capBytes: CAP });
  const create = () => createBackend("cuda" as BackendName, heap);
  assertThrows(create, RangeError, `Cannot use kernels "cuda": choose one of wasm, reference`);
});

Deno.test("kernelCapabilities() has a reason on every line, and advice for what is missing", () => {
  const lines = kernelCapabilities();
  assertEquals(lines.map((line) => line.name), [
    ...["shared memory", "SIMD", "relaxed SIMD", "multi-memory", "fast flags"],
  ]);
  for (const { name, isAvailable, reason } of lines) {
    assert(reason.length > 10, name);
    if (name !== "fast flags") continue;
    assertEquals(isAvailable, reason.startsWith("256-bit"), reason);
    assertEquals(isAvailable, !reason.includes("--v8-flags="), reason);
  }
});
