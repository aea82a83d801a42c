import { assertAlmostEquals, assertEquals } from "@std/assert";
import { fromBf16, readElements, toBf16 } from "../../../kernels/mod.ts";
import { noise } from "../../conformance/backend_pair.ts";
import { setUpBf16 } from "../support/bf16_set_up.ts";

Deno.test("adamw() updates the float32 master and rounds it to the parameter", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(), length = 9000, zeros = new Float32Array(length);
  const start = noise(length), gradient = tensor(noise(length, 2)), wide = tensor(start, "f32");
  const master = tensor(start, "f32"), parameter = tensor(start);
  const rest = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };
  const scales = { correction1: 0.1, correction2: 0.05, gradientScale: 0.5 };
  const moments = () => ({ m: tensor(zeros, "f32"), v: tensor(zeros, "f32") });
  bf16.adamw({ parameter, master, gradient, ...moments(), ...rest, ...scales });
  inner.adamw({ parameter: wide, gradient: widened(gradient), ...moments(), ...rest, ...scales });
  assertEquals(heap.f32(master), heap.f32(wide));
  assertEquals(readElements(heap, parameter), readElements(heap, tensor(heap.f32(wide))));
});

Deno.test("an update too small for bf16 is not lost: the master has it", () => {
  const { heap, bf16, tensor } = setUpBf16(), parameter = tensor([1]), master = tensor([1], "f32");
  const zero = () => tensor([0], "f32"), moments = { m: zero(), v: zero() }, gradient = tensor([1]);
  const rest = { learningRate: 2 ** -12, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0, gradientScale: 1 };
  const args = { parameter, master, gradient, ...moments, ...rest, correction1: 1, correction2: 1 };
  for (let step = 0; step < 40; step++) bf16.adamw(args);
  assertEquals([heap.f32(master)[0], readElements(heap, parameter)[0]], [
    1 - 40 / 4096,
    fromBf16(toBf16(1 - 40 / 4096)),
  ]);
});

Deno.test("copy() converts, fill() rounds, sums of bf16 are those of float64", () => {
  const { heap, bf16, tensor, widened } = setUpBf16(),
    x = tensor(noise(20_001)),
    values = readElements(heap, x);
  const sum = values.reduce((a, b) => a + b, 0), squares = values.reduce((a, b) => a + b * b, 0);
  assertAlmostEquals(bf16.sum(x), sum, 1e-9);
  assertAlmostEquals(bf16.sumSquares(x), squares, 1e-9);
  assertEquals(bf16.maxAbs(x), values.reduce((a, b) => Math.max(a, Math.abs(b)), 0));
  const back = tensor(new Float32Array(20_001));
  bf16.copy(widened(x), back);
  assertEquals(readElements(heap, back), values);
  bf16.fill(1 / 3, x);
  assertEquals(readElements(heap, x).every((value) => value === fromBf16(toBf16(1 / 3))), true);
});
