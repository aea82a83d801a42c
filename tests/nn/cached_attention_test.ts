import { assert, assertEquals } from "@std/assert";
import { causalSelfAttention, KeyValueCache, RandomStream, Tape } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const STEPS = 9, WIDTH = 6, HEADS = 2;

Deno.test("KeyValueCache attend() gives row by row what attention gives for the whole sequence", () => {
  const backend = makeBackend(), { heap } = backend, stream = new RandomStream(1, "qkv");
  const values = Float32Array.from({ length: STEPS * 3 * WIDTH }, (_, i) => stream.normal(i));
  const whole = new Tape({ backend, training: false }), all = whole.input("qkv", [1, STEPS, 3 * WIDTH]);
  const expected = causalSelfAttention(whole, all, HEADS);
  heap.f32(all.span).set(values);
  whole.forward();
  const tape = new Tape({ backend, training: false }), row = tape.input("qkv", [1, 1, 3 * WIDTH]);
  const cache = new KeyValueCache(tape, STEPS, WIDTH), out = cache.attend(tape, row, HEADS);
  assertEquals(out.shape, [1, 1, WIDTH]);
  // Twice, as a cache is used again from the start when its context is full.
  for (const position of [...Array(STEPS).keys(), ...Array(STEPS).keys()]) {
    heap.f32(row.span).set(values.subarray(position * 3 * WIDTH, (position + 1) * 3 * WIDTH));
    cache.length = position;
    tape.forward();
    const wanted = heap.f32(expected.span).subarray(position * WIDTH, (position + 1) * WIDTH);
    // Sums of at most nine terms below 4, in another order.
    heap.f32(out.span).forEach((value, i) => {
      assert(Math.abs(value - wanted[i]) < 9 * 4 * 2 ** -23, `position ${position}: ${value}, ${wanted[i]}`);
    });
  }
});
