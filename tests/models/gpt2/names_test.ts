import { assertEquals } from "@std/assert";
import type { StoredTensor } from "../../../files/mod.ts";
import { gpt2Shapes } from "../../support/gpt2_shapes.ts";
import { isGpt2Extra, nameGpt2Tensors } from "../../../models/gpt2/names.ts";

const SIZES = { layers: 2, heads: 4, embed: 64, context: 32, vocab: 256, layerNormEpsilon: 1e-5 };

function tensor(path: string): StoredTensor {
  return { path, byteOffset: 0, dtype: "F32", shape: [1] };
}

Deno.test("isGpt2Extra() knows masks, and neither a parameter nor the head", () => {
  const extras = ["h.0.attn.bias", "transformer.h.11.attn.masked_bias", "module._orig_mod.h.0.attn.bias"];
  assertEquals(extras.filter(isGpt2Extra), extras);
  assertEquals([...gpt2Shapes(SIZES).keys(), "lm_head.weight"].filter(isGpt2Extra), []);
});

Deno.test("nameGpt2Tensors() finds the table under its name or that of the head, without prefixes", () => {
  const names = (
    ...keys: string[]
  ) => [...nameGpt2Tensors(new Map(keys.map((key) => [key, tensor("a")])), "m").keys()];
  assertEquals(names("transformer.wte.weight", "transformer.ln_f.bias"), ["wte.weight", "ln_f.bias"]);
  assertEquals(names("ln_f.bias", "lm_head.weight"), ["ln_f.bias", "wte.weight"]);
});
