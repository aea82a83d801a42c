import { COUNT, type OptionSpec } from "./option_spec.ts";

/** Options that say what of a model is trained, in the order of the help. */
export const TUNING_OPTIONS = [
  {
    key: "train",
    kind: "text",
    value: "PATTERN",
    isRecipe: true,
    help:
      "train these parameters of --init only: a regular expression, found in names such as lm_head.weight",
  },
  { ...COUNT, key: "loraRank", help: "train low-rank adapters of this rank, and nothing else of --init" },
  {
    key: "loraAlpha",
    kind: "number",
    value: "X",
    min: 0,
    isMinOpen: true,
    help: "what adapters add counts alpha / rank times (2 x rank)",
  },
  {
    key: "loraTargets",
    kind: "text",
    value: "A,B",
    help: "names of the layers with adapters, or all-linear (q_proj,v_proj or c_attn)",
  },
  { key: "adapter", kind: "text", value: "DIR", help: "train the adapter in this directory of PEFT's on" },
] as const satisfies readonly OptionSpec[];
