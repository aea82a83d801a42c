import { assertEquals } from "@std/assert";
import type { StoredTensor } from "../../../files/mod.ts";
import { isDecoderExtra, nameDecoderTensors } from "../../../models/decoder/names.ts";

const tensor: StoredTensor = { path: "a", byteOffset: 0, dtype: "F32", shape: [1] };

function named(names: readonly string[], tied: boolean): string[] {
  return [...nameDecoderTensors(new Map(names.map((name) => [name, tensor])), "m", { tied }).keys()];
}

Deno.test("nameDecoderTensors() takes names with and without model., and wrappers' prefixes", () => {
  const names = ["model.layers.0.mlp.up_proj.weight", "model.embed_tokens.weight", "lm_head.weight"];
  assertEquals(named(names, false), names);
  assertEquals(named(["layers.0.mlp.up_proj.weight", "embed_tokens.weight", "lm_head.weight"], false), names);
  assertEquals(named(names.map((name) => `module._orig_mod.${name}`), false), names);
});

Deno.test("nameDecoderTensors() finds a tied table under either name", () => {
  assertEquals(named(["lm_head.weight"], true), ["model.embed_tokens.weight"]);
  assertEquals(named(["model.embed_tokens.weight", "lm_head.weight"], true), ["model.embed_tokens.weight"]);
});

Deno.test("isDecoderExtra() knows frequencies of positions, and no parameter", () => {
  assertEquals(isDecoderExtra("model.layers.0.self_attn.rotary_emb.inv_freq"), true);
  assertEquals(isDecoderExtra("model.rotary_emb.inv_freq"), true);
  assertEquals(isDecoderExtra("model.layers.0.self_attn.q_proj.weight"), false);
});
