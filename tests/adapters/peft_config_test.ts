import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { adapterSize, peftConfig, readPeftConfig } from "../../adapters/mod.ts";
import { UsageError } from "../../files/mod.ts";

const JSON_OF_PEFT = {
  ...{ peft_type: "LORA", task_type: "CAUSAL_LM", r: 4, lora_alpha: 16, lora_dropout: 0.1, bias: "none" },
  ...{ target_modules: ["q_proj", "v_proj"], base_model_name_or_path: "base", use_dora: false },
  ...{ modules_to_save: null, rank_pattern: { "layers.1.self_attn.q_proj": 8 }, alpha_pattern: {} },
};

Deno.test("readPeftConfig() reads what peftConfig() writes, and what PEFT writes", () => {
  const config = readPeftConfig(JSON_OF_PEFT, "a");
  assertEquals([config.rank, config.alpha, config.targets, config.base], [
    4,
    16,
    ["q_proj", "v_proj"],
    "base",
  ]);
  assertEquals(readPeftConfig(JSON.parse(JSON.stringify(peftConfig(config, true))), "a"), config);
  assertEquals(peftConfig(config, true).fan_in_fan_out, true);
});

Deno.test("adapterSize() is that of the pattern, and alpha counts over the rank or its root", () => {
  const config = readPeftConfig({ ...JSON_OF_PEFT, alpha_pattern: { v_proj: 2 } }, "a");
  assertEquals(adapterSize(config, "model.layers.0.self_attn.q_proj"), { rank: 4, scale: 4 });
  assertEquals(adapterSize(config, "model.layers.1.self_attn.q_proj"), { rank: 8, scale: 2 });
  assertEquals(adapterSize(config, "model.layers.11.self_attn.q_proj").rank, 4);
  assertEquals(adapterSize(config, "model.layers.0.self_attn.v_proj").scale, 0.5);
  const stable = readPeftConfig({ ...JSON_OF_PEFT, use_rslora: true }, "a");
  assertAlmostEquals(adapterSize(stable, "x.q_proj").scale, 16 / Math.sqrt(4));
});

Deno.test("readPeftConfig() refuses by name what is not computed, and what makes no sense", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ peft_type: "IA3" }, 'peft_type is "IA3", supported is "LORA"'],
    [{ peft_type: undefined }, "peft_type is missing"],
    [{ use_dora: true }, "use_dora is true, which is not supported"],
    [{ bias: "all" }, 'bias is "all"'],
    [{ modules_to_save: ["lm_head"] }, 'modules_to_save is ["lm_head"]'],
    [{ layer_replication: [[0, 2]] }, "layer_replication is [[0,2]]"],
    [{ init_lora_weights: "pissa" }, 'init_lora_weights is "pissa"'],
    [{ r: 0 }, "r is 0, it must be a whole number above 0"],
    [{ lora_alpha: "x" }, 'lora_alpha is "x"'],
    [{ rank_pattern: { q_proj: -1 } }, 'rank_pattern is {"q_proj":-1}'],
  ];
  for (const [change, text] of cases) {
    assertThrows(
      () => readPeftConfig({ ...JSON_OF_PEFT, ...change }, "a"),
      UsageError,
      `Cannot use a: ${text}`,
    );
  }
  assertThrows(() => readPeftConfig([], "a"), UsageError, "not a JSON object");
});
