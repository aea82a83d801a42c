import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  architectureOf,
  configOf,
  llama3Factors,
  llama3Scaling,
  metadataOf,
} from "../../../checkpoint/mod.ts";
import { type GgufValue, UsageError } from "../../../files/mod.ts";

const FACTS = { names: new Set(["output.weight"]), vocab: 96 };
const LLAMA = new Map<string, GgufValue>([
  ["general.architecture", "llama"],
  ["llama.block_count", 2],
  ["llama.context_length", 64],
  ["llama.embedding_length", 32],
  ["llama.feed_forward_length", 40],
  ["llama.attention.head_count", 4],
  ["llama.attention.head_count_kv", 2],
  ["llama.attention.layer_norm_rms_epsilon", 1e-5],
  ["llama.rope.dimension_count", 8],
]);

Deno.test("configOf() says what llama.cpp's files say, and what they leave out", () => {
  const json = configOf(LLAMA, FACTS, "a.gguf");
  assertEquals(json, {
    ...{ model_type: "llama", vocab_size: 96, tie_word_embeddings: false, rope_theta: 10000 },
    ...{ num_hidden_layers: 2, max_position_embeddings: 64, hidden_size: 32, intermediate_size: 40 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, rms_norm_eps: 1e-5 },
  });
  const names = new Set(["blk.0.attn_q.bias"]),
    more = [["llama.expert_count", 8], ["llama.rope.scale_linear", 4]] as const;
  const other = configOf(new Map([...LLAMA, ...more]), { names, vocab: 96 }, "a.gguf");
  assertEquals([other.model_type, other.num_local_experts, other.tie_word_embeddings, other.attention_bias], [
    ...["mixtral", 8, true, true],
  ]);
  assertEquals(other.rope_scaling, { rope_type: "linear", factor: 4 });
});

Deno.test("configOf() refuses what is not computed here", () => {
  const refused: [string, GgufValue, string][] = [
    [
      "general.architecture",
      "mamba",
      "its architecture is mamba, supported are llama, qwen2, qwen3, qwen3moe",
    ],
    ["llama.rope.dimension_count", 4, "it turns 4 of the 8 elements of a head"],
    ["llama.rope.scaling.type", "longrope", "its rope.scaling.type is longrope"],
  ];
  for (const [key, value, message] of refused) {
    assertThrows(() => configOf(new Map([...LLAMA, [key, value]]), FACTS, "a.gguf"), UsageError, message);
  }
});

Deno.test("metadataOf() is read back as what it was made from", () => {
  const json = configOf(LLAMA, FACTS, "a.gguf"), full = { ...json, head_dim: 12 };
  const scaled = {
    ...full,
    rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16 },
  };
  for (const config of [full, scaled]) {
    const metadata = [...metadataOf(config, architectureOf(config, "a"))].map(([key, { value }]) =>
      [key, value] as const
    );
    assertEquals(configOf(new Map<string, GgufValue>(metadata), FACTS, "a.gguf"), config);
  }
});

Deno.test("the factors of a Llama 3 are known again", () => {
  const scaling = { rope_type: "llama3", factor: 32, low_freq_factor: 1, high_freq_factor: 4 };
  const rope_scaling = { ...scaling, original_max_position_embeddings: 8192 };
  const json = { head_dim: 64, rope_theta: 500000, rope_scaling }, factors = llama3Factors(json)!;
  // llama.cpp's for Llama 3.2 1B begin with ones and end with 32.
  assertEquals([factors.length, factors[0], factors[31]], [32, 1, 32]);
  assertAlmostEquals(factors[15], 2.4776, 2);
  assertEquals(llama3Scaling(factors, json, "a.gguf"), rope_scaling);
  assertThrows(
    () => llama3Scaling(factors.map((x) => x * 1.1), json, "a.gguf"),
    UsageError,
    "not that of a Llama 3",
  );
});
