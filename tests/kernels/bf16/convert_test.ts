import { assertEquals } from "@std/assert";
import {
  createDeviceMemory,
  DeviceHeap,
  fromBf16,
  readElements,
  toBf16,
  writeElements,
} from "../../../kernels/mod.ts";

Deno.test("toBf16() rounds to the nearest, ties to even", () => {
  const step = 2 ** -7;
  const cases: [number, number][] = [
    ...[[0, 0], [-0, -0], [1, 1], [-2.5, -2.5], [1 + step, 1 + step]] as [number, number][],
    ...[[1 + step / 2, 1], [1 + 1.5 * step, 1 + 2 * step], [1 + 0.51 * step, 1 + step]] as [number, number][],
    ...[[3.4e38, Infinity], [-Infinity, -Infinity], [2 ** -149, 0], [NaN, NaN]] as [number, number][],
    ...[[2 ** -133, 2 ** -133], [1e-40, 2 ** -133 * Math.round(1e-40 / 2 ** -133)]] as [number, number][],
  ];
  for (const [value, want] of cases) assertEquals(fromBf16(toBf16(value)), want, `${value}`);
});

Deno.test("every bf16 comes back, a signalling NaN as a quiet one", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const isNaN = (bits & 0x7fff) > 0x7f80;
    assertEquals(toBf16(fromBf16(bits)), isNaN ? bits | 0x40 : bits, `${bits}`);
  }
});

Deno.test("writeElements() and readElements() know the element type", () => {
  const capBytes = 2 ** 20, heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  for (const dtype of ["f32", "bf16"] as const) {
    const span = heap.allocate("x", 5, "activations", dtype);
    writeElements(heap, span, [1, 1, 1, 1, 1]);
    writeElements(heap, span, [2.5, 1 / 3], 2);
    const third = dtype === "f32" ? Math.fround(1 / 3) : fromBf16(toBf16(1 / 3));
    assertEquals([...readElements(heap, span)], [1, 1, 2.5, third, 1]);
  }
});
