import { assert, assertEquals, assertThrows } from "@std/assert";
import { attend, fusedInputs, KeyValueCache, RandomStream, Tape } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const STEPS = 9, HEADS = 4, HEAD_DIM = 3, WIDTH = HEADS * HEAD_DIM;

for (const name of ["wasm", "reference"] as const) {
  for (const kvHeads of [1, 2, 4]) {
    Deno.test(`KeyValueCache attend() gives row by row what attention gives for all: ${kvHeads} heads of keys, ${name}`, () => {
      checkRows(name, kvHeads);
    });
  }
}

function checkRows(name: "wasm" | "reference", kvHeads: number): void {
  const backend = makeBackend(name), { heap } = backend, stream = new RandomStream(1, "qkv");
  const sizes = { headDim: HEAD_DIM, group: HEADS / kvHeads }, columns = (HEADS + 2 * kvHeads) * HEAD_DIM;
  const values = Float32Array.from({ length: STEPS * columns }, (_, i) => stream.normal(i));
  const whole = new Tape({ backend, training: false }), all = whole.input("qkv", [1, STEPS, columns]);
  const expected = attend(whole, fusedInputs(all, sizes));
  heap.f32(all.span).set(values);
  whole.forward();
  const tape = new Tape({ backend, training: false }), row = tape.input("qkv", [1, 1, columns]);
  const before = heap.usedBytes().activations, cache = new KeyValueCache(tape, STEPS, kvHeads * HEAD_DIM);
  assertEquals(heap.usedBytes().activations - before <= 2 * (STEPS * kvHeads * HEAD_DIM * 4 + 128), true);
  const out = cache.attend(tape, fusedInputs(row, sizes));
  assertEquals(out.shape, [1, 1, WIDTH]);
  // Twice, as a cache is used again from the start when its context is full.
  for (const position of [...Array(STEPS).keys(), ...Array(STEPS).keys()]) {
    heap.f32(row.span).set(values.subarray(position * columns, (position + 1) * columns));
    cache.length = position;
    tape.forward();
    const wanted = heap.f32(expected.span).subarray(position * WIDTH, (position + 1) * WIDTH);
    // Sums of at most nine terms below 4, in another order.
    heap.f32(out.span).forEach((value, i) => {
      assert(Math.abs(value - wanted[i]) < 9 * 4 * 2 ** -23, `position ${position}: ${value}, ${wanted[i]}`);
    });
  }
}

Deno.test("KeyValueCache refuses keys of another width than its own", () => {
  const tape = new Tape({ backend: makeBackend(), training: false }), cache = new KeyValueCache(tape, 4, 12);
  const inputs = fusedInputs(tape.input("qkv", [1, 1, 24]), { headDim: 3, group: 2 });
  assertThrows(
    () => cache.attend(tape, inputs),
    RangeError,
    "Cannot cache keys of 6 elements: the cache was made for 12 elements each",
  );
});
