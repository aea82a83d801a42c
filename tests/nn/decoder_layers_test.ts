import { assertEquals, assertThrows } from "@std/assert";
import { HeadNorm, normal, RotaryAttention, Scope, Tape } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const SIZES = { embed: 8, heads: 4, kvHeads: 2, headDim: 6, initialize: normal(0.3) };
const ROTARY = { frequencies: [1, 0.3, 0.1], scale: 1, context: 16 };

/** What a layer gives for the last of some tokens, the first of which are left out. */
function lastRow(config: { window?: number }, first: number): number[] {
  const backend = makeBackend(), scope = Scope.root(backend.heap, 3), tokens = 6 - first;
  const layer = new RotaryAttention(scope, { ...SIZES, ...config, rotary: ROTARY, headNormEpsilon: 1e-6 });
  const tape = new Tape({ backend, training: false }),
    x = tape.input("x", [1, tokens, 8]),
    none = tape.input("r", [1, tokens, 8]);
  const out = layer.forward(tape, x, none);
  backend.heap.f32(x.span).forEach((_, i, all) => all[i] = Math.sin(i + 8 * first));
  tape.forward();
  return [...backend.heap.f32(out.span).slice(-8)];
}

Deno.test("RotaryAttention depends on distances only, and not on what is behind its window", () => {
  const near = (a: number[], b: number[]) => a.every((value, i) => Math.abs(value - b[i]) < 1e-6);
  assertEquals(near(lastRow({ window: 3 }, 0), lastRow({ window: 3 }, 3)), true);
  assertEquals(near(lastRow({ window: 4 }, 0), lastRow({ window: 4 }, 3)), false);
  assertEquals(near(lastRow({}, 0), lastRow({}, 3)), false);
});

Deno.test("RotaryAttention and HeadNorm refuse heads that do not fit", () => {
  const scope = () => Scope.root(makeBackend().heap, 1);
  assertThrows(
    () => new RotaryAttention(scope(), { ...SIZES, kvHeads: 3, rotary: ROTARY }),
    RangeError,
    "Cannot share 3 heads",
  );
  const tape = new Tape({ backend: makeBackend(), training: false });
  const norm = new HeadNorm(Scope.root(tape.heap, 1), 6, 1e-6);
  assertThrows(() => norm.forward(tape, tape.input("x", [1, 2, 8])), RangeError, "must be a multiple of 6");
});
