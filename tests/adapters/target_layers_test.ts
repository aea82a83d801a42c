import { assertEquals, assertThrows } from "@std/assert";
import { targetLayers } from "../../adapters/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { familyNamed } from "../../models/mod.ts";

const SIZES = { layers: 2, heads: 2, embed: 8, context: 8, vocab: 32 };
const layersOf = (name: string) => {
  const family = familyNamed(name)!;
  return family.layers(family.configure(SIZES, undefined));
};
const pathsOf = (name: string, targets?: string[]) =>
  targetLayers(layersOf(name), targets).map(({ path }) => path);

Deno.test("targetLayers() are layers of that name, of that path, the usual ones, or all but the head", () => {
  assertEquals(
    pathsOf("llama"),
    [0, 1].flatMap((i) => ["q_proj", "v_proj"].map((name) => `model.layers.${i}.self_attn.${name}`)),
  );
  assertEquals(pathsOf("gpt2"), ["h.0.attn.c_attn", "h.1.attn.c_attn"]);
  assertEquals(pathsOf("gpt2", ["h.1.mlp.c_fc", "lm_head"]), ["h.1.mlp.c_fc", "lm_head"]);
  assertEquals(pathsOf("llama", ["all-linear"]).length, 14);
});

Deno.test("targetLayers() say how a weight lies, and whose it is", () => {
  const [fc, head] = targetLayers(layersOf("gpt2"), ["h.0.mlp.c_fc", "lm_head"]);
  assertEquals([fc.weight, fc.inputs, fc.outputs, fc.outputsFirst], ["h.0.mlp.c_fc.weight", 8, 32, false]);
  assertEquals([head.weight, head.inputs, head.outputs, head.outputsFirst], ["wte.weight", 8, 32, true]);
});

Deno.test("targetLayers() name the layers that there are, if a target is none of them", () => {
  const text =
    'Cannot adapt "query": the model has no such linear layer; it has c_attn, c_proj, c_fc, lm_head';
  assertThrows(() => pathsOf("gpt2", ["c_attn", "query"]), UsageError, text);
  assertThrows(() => pathsOf("gpt2", []), UsageError, "Cannot adapt");
});
