import { assert, assertEquals } from "@std/assert";
import { normFromSquares, squareScale, subspan } from "../../kernels/mod.ts";
import { noise } from "../conformance/backend_pair.ts";
import { makeBackend } from "../support/device.ts";

Deno.test("squareScale() brings the largest element to 2^17 .. 2^18", () => {
  for (const max of [1, 1.999, 0.75, 3e38, 1e-30, Math.fround(2 ** -109)]) {
    const integer = Math.fround(max) * squareScale(max);
    assert(integer >= 2 ** 17 && integer < 2 ** 18, `${max} becomes ${integer}`);
  }
  assertEquals(squareScale(0), 1);
  assertEquals([2 ** -110, 2 ** -149].map(squareScale), [2 ** 127, 2 ** 127]);
  assertEquals([NaN, Infinity].map(squareScale), [NaN, NaN]);
});

Deno.test("normFromSquares() has the same bits however a tensor is shared out, within its bound", () => {
  const backend = makeBackend(), { heap } = backend, n = 100003;
  const x = heap.allocate("x", n, "gradients"), out = heap.allocate("out", 2, "workspace", "f64");
  heap.f32(x).set(noise(n).map((value, i) => value * 10 ** (-(i % 7))));
  const scale = squareScale(backend.maxAbs(x)), norms = new Set<number>();
  for (const parts of [1, 2, 3, 4, 8]) {
    let high = 0, low = 0;
    for (let part = 0; part < parts; part++) {
      const start = Math.floor(part * n / parts), end = Math.floor((part + 1) * n / parts);
      backend.sumSquaresExact(scale, subspan(x, start, end - start), out);
      high += heap.f64(out)[0];
      low += heap.f64(out)[1];
    }
    norms.add(normFromSquares(high, low, scale));
  }
  assertEquals(norms.size, 1);
  const [norm] = norms, want = Math.sqrt(backend.sumSquares(x)), error = Math.abs(norm - want) / want;
  // The second bound is the one for roundings that do not line up; the largest element is about 1.
  const ratio = Math.sqrt(n) / want, typical = ratio / Math.sqrt(n) / 2 ** 18 + ratio ** 2 / 2 ** 38;
  assert(error <= Math.sqrt(n) / 2 ** 18 && error < 3 * typical, `off by ${error}, not ${typical}`);
});

Deno.test("normFromSquares() is NaN if an element is, and 0 of zeros", () => {
  assertEquals(normFromSquares(0, 0, squareScale(NaN)), NaN);
  assertEquals(normFromSquares(0, 0, squareScale(0)), 0);
});
