import { assertAlmostEquals } from "@std/assert";
import {
  createDeviceMemory,
  DeviceHeap,
  ReferenceBackend,
  SWIGLU,
  SWIGLU_BACKWARD,
} from "../../../kernels/mod.ts";

Deno.test("ReferenceBackend SwiGLU of a gate of ln 3, whose sigmoid is 3/4, and its gradient", () => {
  const heap = new DeviceHeap({ capBytes: 1 << 20, memory: createDeviceMemory(1 << 20) });
  const b = new ReferenceBackend(heap), sizes = { rows: 1, cols: 1 }, x = Math.log(3);
  const tensor = (value: number) => {
    const span = heap.allocate("x", 1, "activations");
    heap.f32(span)[0] = value;
    return span;
  };
  const gate = tensor(x),
    up = tensor(2),
    out = tensor(0),
    dOut = tensor(1),
    dGate = tensor(0),
    dUp = tensor(0);
  b.row(SWIGLU, { ...sizes, gate, up, out });
  assertAlmostEquals(heap.f32(out)[0], 1.5 * x, 1e-6);
  b.row(SWIGLU_BACKWARD, { ...sizes, gate, up, dOut, dGate, dUp });
  assertAlmostEquals(heap.f32(dUp)[0], 0.75 * x, 1e-6);
  assertAlmostEquals(heap.f32(dGate)[0], 2 * (0.75 + x * 0.75 * 0.25), 1e-6);
});
