import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Backend } from "../../../kernels/mod.ts";
import { Gpt, gpt, type GptConfig } from "../../../models/mod.ts";
import { Scope, Tape } from "../../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";

const SIZES: GptConfig = { layers: 2, heads: 3, embed: 24, context: 10, vocab: 31 };
const IDS = Array.from({ length: SIZES.context }, (_, i) => (11 * i + 5) % SIZES.vocab);

function build(backend: Backend, config = SIZES): { model: Gpt; scope: Scope } {
  const scope = Scope.root(backend.heap, 4), model = new Gpt(scope, config);
  return { model, scope };
}

/** Logits of a full forward pass over one row of tokens. */
function fullLogits(backend: Backend, model: Gpt, ids: readonly number[]): Float32Array {
  const tape = new Tape({ backend, training: false }), input = tape.input("ids", [1, ids.length], "i32");
  const logits = model.logits(tape, input);
  backend.heap.i32(input.span).set(ids);
  tape.forward();
  return backend.heap.f32(logits.span).slice();
}

Deno.test("Gpt names its parameters as Hugging Face does", () => {
  const { scope } = build(phantomBackend(), { ...SIZES, layers: 1 });
  const block = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"];
  assertEquals(
    scope.parameters.map(({ name, shape }) => `${name} ${shape.join("x")}`).sort(),
    [
      "wte.weight 31x24",
      "wpe.weight 10x24",
      ...block.flatMap((name) => {
        const [rows, cols] =
          { "attn.c_attn": [24, 72], "mlp.c_fc": [24, 96], "mlp.c_proj": [96, 24] }[name] ?? [24, 24];
        const weight = name.startsWith("ln") ? "24" : `${rows}x${cols}`;
        return [`h.0.${name}.weight ${weight}`, `h.0.${name}.bias ${name.startsWith("ln") ? 24 : cols}`];
      }),
      "ln_f.weight 24",
      "ln_f.bias 24",
    ].sort(),
  );
});

Deno.test("Gpt starts near the loss of an even guess", () => {
  const backend = makeBackend(), { model } = build(backend), logits = fullLogits(backend, model, IDS);
  // Logits of deviation 0.02 sqrt(24) = 0.1 about 0: each loss is log V within a few tenths.
  for (let t = 0; t < IDS.length; t++) {
    const row = logits.subarray(t * 31, (t + 1) * 31), sum = row.reduce((a, b) => a + Math.exp(b), 0);
    assert(Math.abs(Math.log(sum) - Math.log(31)) < 0.1);
  }
});

Deno.test("Gpt sees no token of the future", () => {
  const backend = makeBackend(), { model } = build(backend);
  const before = fullLogits(backend, model, IDS), changed = IDS.with(6, 30);
  const after = fullLogits(backend, model, changed);
  assertEquals(after.subarray(0, 6 * 31), before.subarray(0, 6 * 31));
  assert(after.subarray(6 * 31).some((value, i) => value !== before[6 * 31 + i]));
});

Deno.test("Gpt refuses heads that do not divide the width, and more tokens than its context", () => {
  const backend = phantomBackend();
  const error = assertThrows(() => build(backend, { ...SIZES, heads: 5 }), RangeError);
  assertStringIncludes(error.message, "Cannot split embed 24 into 5 heads");
  const { model } = build(backend), tape = new Tape({ backend, training: false });
  assertThrows(
    () => model.logits(tape, tape.input("ids", [2, 11], "i32")),
    RangeError,
    "Cannot read 11 tokens (batch 2): context is 10",
  );
});

Deno.test("gpt() is plain data with bytes as default vocabulary", () => {
  const spec = gpt({ layers: 1, heads: 1, embed: 8, context: 8 });
  assertEquals(structuredClone(spec), spec);
  assertEquals((spec.config as GptConfig).vocab, 256);
  assertStringIncludes(spec.module, "/models/gpt2/mod.ts");
});
