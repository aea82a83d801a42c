import { assertEquals } from "@std/assert";
import { createDeviceMemory, fromBf16, toBf16, WasmPeerLink } from "../../kernels/mod.ts";
import { addBf16 } from "../../kernels/wasm/bf16.ts";
import { ModuleBuilder } from "../../kernels/wasm/builder.ts";
import { noise, SPECIALS } from "../conformance/backend_pair.ts";

const LENGTHS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 100];
/** Places in bytes; of bf16 one that is a multiple of 2 only. */
const FLOATS = 4096, HALVES = 8194, OTHERS = 16386;

function setUp() {
  const memory = createDeviceMemory(2 ** 20), module = new ModuleBuilder();
  addBf16(module);
  const kernels = module.instantiate([memory]);
  return {
    kernels,
    floats: (at = FLOATS) => new Float32Array(memory.buffer, at),
    halves: (at = HALVES) => new Uint16Array(memory.buffer, at),
    ints: (at: number) => new Int32Array(memory.buffer, at),
  };
}

/** Ordinary numbers and the special ones in turn. */
function numbers(length: number): number[] {
  return Array.from(noise(length), (x, i) => i % 3 === 1 ? SPECIALS[i % SPECIALS.length] : 10 * x);
}

Deno.test("narrow() and widen() give the bits of the host's conversions, and touch nothing else", () => {
  for (const length of LENGTHS) {
    const { kernels, floats, halves } = setUp(), values = numbers(length);
    floats().set(values);
    halves().fill(7, 0, length + 8);
    kernels.narrow(FLOATS, HALVES, length);
    assertEquals([...halves().subarray(0, length)], values.map(toBf16), `${length}`);
    assertEquals([...halves().subarray(length, length + 8)], Array(8).fill(7));
    floats().fill(5, 0, length + 8);
    kernels.widen(HALVES, FLOATS, length);
    assertEquals([...floats().subarray(0, length)], values.map((x) => fromBf16(toBf16(x))));
    assertEquals([...floats().subarray(length, length + 8)], Array(8).fill(5));
  }
});

Deno.test("narrow() rounds ties to even, above and below, in vectors and in the tail", () => {
  const { kernels, floats, halves } = setUp();
  const bits = [0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x7f800001, 0xff800001, 0x8000];
  const all = [...bits, ...bits.slice(0, 7)];
  new Uint32Array(floats().buffer, FLOATS).set(all);
  kernels.narrow(FLOATS, HALVES, all.length);
  const want = [0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0x7fc0, 0xffc0, 0];
  assertEquals([...halves().subarray(0, all.length)], [...want, ...want.slice(0, 7)]);
});

Deno.test("widenRows() and narrowRows() keep the distances of rows", () => {
  const { kernels, floats, halves } = setUp(), rows = 3, cols = 5, ld = 7;
  halves().set(numbers(rows * ld).map(toBf16));
  kernels.widenRows(HALVES, 2 * ld, FLOATS, 4 * cols, rows, cols);
  for (let r = 0; r < rows; r++) {
    const want = Array.from({ length: cols }, (_, c) => fromBf16(halves()[r * ld + c]));
    assertEquals([...floats().subarray(r * cols, (r + 1) * cols)], want);
  }
  const before = [...halves().subarray(0, rows * ld)];
  halves().fill(9);
  kernels.narrowRows(FLOATS, 4 * cols, HALVES, 2 * ld, rows, cols);
  const want = before.map((bits, i) => i % ld < cols ? bits : 9);
  assertEquals([...halves().subarray(0, rows * ld)], want);
});

Deno.test("gatherWiden() takes rows by their ids, -0 for a negative one; fillBf16() and copyBytes()", () => {
  const { kernels, floats, halves, ints } = setUp(), cols = 3;
  halves().set(numbers(4 * cols).map(toBf16));
  ints(32768).set([2, -1, 0]);
  kernels.gatherWiden(32768, HALVES, FLOATS, 3, cols);
  const row = (r: number) => [...halves().subarray(r * cols, (r + 1) * cols)].map(fromBf16);
  assertEquals([...floats().subarray(0, 9)], [...row(2), -0, -0, -0, ...row(0)]);
  kernels.fillBf16(toBf16(-1.5), HALVES, 3);
  assertEquals([...halves().subarray(0, 3)], [-1.5, -1.5, -1.5].map(toBf16));
  kernels.copyBytes(HALVES, OTHERS, 6);
  assertEquals([...halves(OTHERS).subarray(0, 4)], [toBf16(-1.5), toBf16(-1.5), toBf16(-1.5), 0]);
});

Deno.test("a link adds bf16 of two memories in float32 and rounds once", () => {
  for (const length of LENGTHS) {
    const [own, peer] = [1, 2].map(() => createDeviceMemory(2 ** 20)), link = new WasmPeerLink(own, peer);
    const a = numbers(length).map(toBf16), b = numbers(length + 1).slice(1).map(toBf16);
    const halves = (memory: WebAssembly.Memory) => new Uint16Array(memory.buffer, HALVES, length + 4);
    const read = (memory: WebAssembly.Memory) => [...halves(memory)];
    const sums = a.map((x, i) => toBf16(Math.fround(fromBf16(x) + fromBf16(b[i])))), rest = [0, 0, 0, 0];
    const isEqual = (got: number[], want: number[]) =>
      assertEquals(got.map(fromBf16), want.map(fromBf16), `${length}`);
    const start = () => [[own, a], [peer, b]].forEach(([m, v]) => halves(m as typeof own).set(v as number[]));
    start();
    link.sumBf16(HALVES, HALVES, length);
    isEqual(read(own), [...sums, ...rest]);
    isEqual(read(peer), [...b, ...rest]);
    start();
    link.sumBothBf16(HALVES, HALVES, length);
    isEqual(read(own), [...sums, ...rest]);
    isEqual(read(peer), [...sums, ...rest]);
    start();
    const floats = new Float32Array(own.buffer, FLOATS, length + 4), self = new WasmPeerLink(own, own);
    self.widenBf16(FLOATS, HALVES, length);
    link.addBf16(FLOATS, HALVES, length);
    self.narrowBf16(HALVES, FLOATS, length);
    isEqual(read(own), [...sums, ...rest]);
    assertEquals([...floats.subarray(length)], rest);
  }
});
