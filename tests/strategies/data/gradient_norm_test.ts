import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { subspan } from "../../../kernels/mod.ts";
import { GradientNorm } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

const ALONE = fakeGroup();

function gradients() {
  const backend = makeBackend(), span = backend.heap.allocate("gradients", 1000, "gradients");
  backend.heap.f32(span).forEach((_, i, all) => all[i] = Math.sin(i) * 10 ** (i % 5 - 3));
  return { backend, span };
}

Deno.test("GradientNorm has the bits of the whole however the gradients are cut", () => {
  const { backend, span } = gradients(), whole = new GradientNorm(backend, [span]).compute(ALONE);
  const parts = [subspan(span, 700, 300), subspan(span, 0, 1), subspan(span, 1, 699)];
  assertEquals(new GradientNorm(backend, parts).compute(ALONE), whole);
  const exact = Math.sqrt(backend.heap.f32(span).reduce((sum, x) => sum + x * x, 0));
  assertAlmostEquals(whole, exact, 1e-6 * exact);
});

Deno.test("GradientNorm of no gradients is 0, and NaN if an element is not finite", () => {
  const { backend, span } = gradients();
  assertEquals(new GradientNorm(backend, []).compute(ALONE), 0);
  for (const bad of [NaN, Infinity, -Infinity]) {
    backend.heap.f32(span)[17] = bad;
    assert(Number.isNaN(new GradientNorm(backend, [span]).compute(ALONE)));
  }
});
