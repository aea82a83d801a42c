import { assert, assertEquals } from "@std/assert";
import {
  AdamW,
  allocateGradients,
  clipFactor,
  gradientNorm,
  normal,
  RandomStream,
  Scope,
} from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const CONFIG = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };

Deno.test("AdamW update() follows the formula in float64; only tensors of two dims decay", () => {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 3);
  const matrix = scope.parameter("w", [5, 7], normal(1)), bias = scope.parameter("b", [7], normal(1));
  allocateGradients(heap, [matrix, bias]);
  const optimizer = new AdamW(backend, [matrix, bias], CONFIG), stream = new RandomStream(1, "gradients");
  const twins = [matrix, bias].map((p) => ({
    p,
    x: Float64Array.from(heap.f32(p.span)),
    m: new Float64Array(p.span.length),
    v: new Float64Array(p.span.length),
  }));
  for (let step = 1; step <= 5; step++) {
    const lr = 0.01 * step, scale = 0.5;
    for (const { p, x, m, v } of twins) {
      const gradient = heap.f32(p.gradient);
      gradient.forEach((_, i) => gradient[i] = stream.normal(100 * step + i));
      gradient.forEach((value, i) => {
        const g = scale * value;
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.95 * v[i] + 0.05 * g * g;
        x[i] -= lr * (p === matrix ? 0.1 : 0) * x[i];
        x[i] -= lr * (m[i] / (1 - 0.9 ** step)) / (Math.sqrt(v[i] / (1 - 0.95 ** step)) + 1e-8);
      });
    }
    optimizer.update(step, lr, scale);
  }
  // Five updates, each a handful of roundings of values below 4: 5 * 8 * 4 * 2^-24.
  const bound = 5 * 8 * 4 * 2 ** -24;
  for (const { p, x, m } of twins) {
    heap.f32(p.span).forEach((value, i) =>
      assert(Math.abs(value - x[i]) < bound, `${p.name}[${i}]: ${value}, ${x[i]}`)
    );
    heap.f32(optimizer.moments.get(p)!.m).forEach((value, i) => assert(Math.abs(value - m[i]) < bound));
  }
});

Deno.test("clipFactor() brings a norm down to the clip and never up", () => {
  assertEquals([clipFactor(0.5, 1), clipFactor(4, 0), clipFactor(0, 1)], [1, 1, 1]);
  assert(Math.abs(4 * clipFactor(4, 1) - 1) < 1e-6);
});

Deno.test("gradientNorm() is the norm over all parameters", () => {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 3);
  const parameters = [scope.parameter("a", [3], normal(1)), scope.parameter("b", [2, 2], normal(1))];
  backend.fill(0, allocateGradients(heap, parameters));
  heap.f32(parameters[0].gradient).set([3, 0, 0]);
  heap.f32(parameters[1].gradient).set([0, 0, 0, -4]);
  assertEquals(gradientNorm(backend, parameters), 5);
});
