import { assertEquals, assertThrows } from "@std/assert";
import {
  dropoutRates,
  fromHuggingFaceConfig,
  toHuggingFaceConfig,
} from "../../../models/gpt2/hugging_face.ts";
import type { GptConfig } from "../../../models/gpt2/model.ts";
import { UsageError } from "../../../files/usage_error.ts";

const SIZES: GptConfig = {
  layers: 2,
  heads: 4,
  embed: 64,
  context: 32,
  vocab: 256,
  layerNormEpsilon: 1e-5,
};

Deno.test("fromHuggingFaceConfig() reads what toHuggingFaceConfig() writes", () => {
  const config = JSON.parse(JSON.stringify(toHuggingFaceConfig(SIZES)));
  assertEquals(fromHuggingFaceConfig(config, "c"), SIZES);
});

Deno.test("fromHuggingFaceConfig() accepts the fields of published GPT-2 models", () => {
  const config = {
    activation_function: "gelu_new",
    attn_pdrop: 0.1,
    layer_norm_epsilon: 1e-5,
    model_type: "gpt2",
    n_ctx: 1024,
    n_embd: 768,
    n_head: 12,
    n_inner: null,
    n_layer: 12,
    n_positions: 1024,
    resid_pdrop: 0.1,
    vocab_size: 50257,
  };
  const expected = { layers: 12, heads: 12, embed: 768, context: 1024, vocab: 50257, layerNormEpsilon: 1e-5 };
  assertEquals(fromHuggingFaceConfig(config, "c"), expected);
});

/** `null` is what a Python program leaves where it knows no better; the three names are one function. */
Deno.test("fromHuggingFaceConfig() accepts other ways to say the same", () => {
  for (
    const same of [
      { activation_function: "gelu_pytorch_tanh" },
      { activation_function: "gelu_fast" },
      { tie_word_embeddings: null, quantization_config: null, rope_scaling: null },
      // In float32 already: what it asks for is what is done.
      { reorder_and_upcast_attn: true },
    ]
  ) assertEquals(fromHuggingFaceConfig({ ...toHuggingFaceConfig(SIZES), ...same }, "c"), SIZES);
});

Deno.test("an inner width, the gelu of erf and a head of its own are read, and written again", () => {
  const config = { ...SIZES, inner: 100, activation: "geluErf", tied: false } as const;
  assertEquals(fromHuggingFaceConfig(toHuggingFaceConfig(config), "c"), config);
  const { n_inner, activation_function, tie_word_embeddings } = toHuggingFaceConfig(config);
  assertEquals([n_inner, activation_function, tie_word_embeddings], [100, "gelu", false]);
});

Deno.test("dropoutRates() names the rates that are not applied", () => {
  assertEquals(dropoutRates({ attn_pdrop: 0.1, embd_pdrop: 0, resid_pdrop: 0.2 }), [
    "attn_pdrop 0.1",
    "resid_pdrop 0.2",
  ]);
  assertEquals(dropoutRates(toHuggingFaceConfig(SIZES)), []);
});

Deno.test("fromHuggingFaceConfig() refuses other models by name", () => {
  const cases: [Record<string, unknown>, string][] = [
    [
      { activation_function: "silu" },
      'activation_function is "silu", supported are "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu", ',
    ],
    [{ add_cross_attention: true }, "add_cross_attention is true, supported is false"],
    [{ scale_attn_weights: null }, "scale_attn_weights is null, supported is true"],
    [{ rope_scaling: { type: "linear" } }, 'rope_scaling is {"type":"linear"}, which is not supported'],
    [{ quantization_config: { bits: 4, modules: "x".repeat(99) } }, "quantization_config is {"],
    [{ tie_word_embeddings: 0 }, "tie_word_embeddings is 0, supported are true, false"],
    [{ model_type: "llama" }, 'model_type is "llama", supported is "gpt2"'],
    [{ scale_attn_by_inverse_layer_idx: true }, "scale_attn_by_inverse_layer_idx is true"],
    [{ n_layer: undefined }, "n_layer is missing"],
    [{ n_embd: 6.5 }, "n_embd is 6.5, it must be a whole number above 0"],
    [{ n_head: 7 }, "n_embd 64 is not a multiple of n_head 7"],
    [{ n_inner: 0.5 }, "n_inner is 0.5, it must be a whole number above 0, or null"],
    [{ layer_norm_epsilon: 0 }, "layer_norm_epsilon is 0"],
  ];
  for (const [change, message] of cases) {
    const config = { ...toHuggingFaceConfig(SIZES), ...change };
    assertThrows(() => fromHuggingFaceConfig(config, "c"), UsageError, `Cannot use c: ${message}`);
  }
  assertThrows(() => fromHuggingFaceConfig([], "c"), UsageError, "not a JSON object");
});
