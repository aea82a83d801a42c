import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../files/mod.ts";
import { type DecoderConfig, windowOf } from "../../../models/decoder/config.ts";
import { familyNamed, familyNames } from "../../../models/mod.ts";

const BASE = {
  ...{ num_hidden_layers: 4, num_attention_heads: 4, hidden_size: 32, intermediate_size: 48, vocab_size: 96 },
  ...{ num_key_value_heads: 2, max_position_embeddings: 64 },
};

function read(modelType: string, fields: Record<string, unknown> = {}): DecoderConfig {
  const { checkpoint } = familyNamed(modelType)!;
  return checkpoint.fromConfig({ model_type: modelType, ...BASE, ...fields }, "config.json") as DecoderConfig;
}

const DECODERS = familyNames().filter((name) => !name.includes("gpt2"));

for (const name of DECODERS) {
  Deno.test(`config.json of ${name} that is written is read as the same configuration`, () => {
    const scaling = {
      rope_type: "yarn",
      factor: 4,
      original_max_position_embeddings: 16,
      attention_factor: 1.5,
    };
    const fields = {
      sliding_window: 8,
      use_sliding_window: true,
      rope_scaling: scaling,
      attention_bias: true,
    };
    const config = read(name, { ...fields, tie_word_embeddings: true, expert_capacity_factor: 1.5 });
    const { checkpoint } = familyNamed(name)!;
    assertEquals(checkpoint.fromConfig(checkpoint.toConfig(config), "config.json"), config);
  });

  Deno.test(`config.json of ${name} refuses what would be computed otherwise, by name`, () => {
    const refused: [Record<string, unknown>, string][] = [
      [{ hidden_act: "gelu" }, `hidden_act is "gelu", supported are "silu", "swish"`],
      [{ quantization_config: { bits: 4 } }, `quantization_config is {"bits":4}, which is not supported`],
      [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor is 0.5, supported is 1"],
      [{ rope_scaling: { type: "dynamic", factor: 2 } }, `rope_type is "dynamic", supported are`],
      [{ rope_scaling: { rope_type: "linear" } }, "factor is missing, it must be a number above 0"],
      [{ num_key_value_heads: 3 }, "kvHeads must divide heads"],
      [{ head_dim: 7 }, "headDim must be even"],
      [{ vocab_size: "many" }, `vocab_size is "many", it must be a whole number above 0`],
      [{ tie_word_embeddings: 1 }, "tie_word_embeddings is 1, it must be true or false"],
    ];
    for (const [fields, message] of refused) {
      assertThrows(() => read(name, fields), UsageError, message);
    }
  });
}

Deno.test("config.json has positions in both spellings", () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  };
  const old = read("llama", { rope_theta: 500000, rope_scaling: { type: "llama3", ...scaling } });
  const now = read("llama", { rope_parameters: { rope_type: "llama3", rope_theta: 500000, ...scaling } });
  assertEquals(old.rope, now.rope);
  assertEquals(old.rope.theta, 500000);
  assertEquals(read("llama").rope, { theta: 10000 });
  assertEquals(read("llama", { rope_parameters: { rope_type: "default", rope_theta: 7 } }).rope, {
    theta: 7,
  });
});

Deno.test("config.json gives windows to the layers that have one", () => {
  const windows = (config: DecoderConfig) => [0, 1, 2, 3].map((layer) => windowOf(config, layer));
  assertEquals(windows(read("mistral", { sliding_window: 8 })), [8, 8, 8, 8]);
  assertEquals(windows(read("mistral", { sliding_window: null })), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(windows(read("qwen2", { sliding_window: 8 })), [undefined, undefined, undefined, undefined]);
  const used = { sliding_window: 8, use_sliding_window: true };
  assertEquals(windows(read("qwen2", { ...used, max_window_layers: 3 })), [
    undefined,
    undefined,
    undefined,
    8,
  ]);
  const types = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"];
  assertEquals(windows(read("qwen3", { ...used, layer_types: types })), [8, undefined, undefined, 8]);
  assertThrows(
    () => read("qwen3", { ...used, layer_types: ["x", "x", "x", "x"] }),
    UsageError,
    `layer_types has "x"`,
  );
});

Deno.test("config.json gives experts to the layers that have some, with room for all tokens", () => {
  const { mixture } = read("qwen3_moe", {
    num_experts: 6,
    num_experts_per_tok: 2,
    mlp_only_layers: [1],
    decoder_sparse_step: 2,
  });
  assertEquals(mixture!.denseLayers, [0, 1, 2]);
  assertEquals([mixture!.capacityFactor, mixture!.auxLossCoefficient, mixture!.sharesWeights], [3, 0, false]);
  const loaded = read("mixtral", {
    output_router_logits: true,
    router_aux_loss_coef: 0.02,
    num_local_experts: 4,
  }).mixture!;
  assertEquals([loaded.experts, loaded.topKExperts, loaded.auxLossCoefficient, loaded.sharesWeights], [
    4,
    2,
    0.02,
    true,
  ]);
  assertThrows(() => read("mixtral", { num_experts_per_tok: 9 }), UsageError, "a token goes to 9 of them");
});
