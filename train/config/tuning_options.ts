import { COUNT, FLAG, type OptionSpec } from "./option_spec.ts";

/** Options that say what of a model is trained, in the order of the help. */
export const TUNING_OPTIONS = [
  {
    key: "train",
    kind: "text",
    value: "PATTERN",
    isRecipe: true,
    help: "train only parameters in whose names this expression is found",
  },
  { ...COUNT, key: "loraRank", help: "train low-rank adapters of --init, and nothing else" },
  {
    key: "loraAlpha",
    kind: "number",
    value: "X",
    min: 0,
    isMinOpen: true,
    help: "adapters count alpha / rank times (2 x rank)",
  },
  {
    key: "loraTargets",
    kind: "text",
    value: "A,B",
    help: "layers with adapters, or all-linear (q_proj,v_proj or c_attn)",
  },
  {
    ...FLAG,
    key: "keepZeros",
    isRecipe: true,
    help: "weights that are zero at the start stay zero: trains a pruned --init on",
  },
  { key: "adapter", kind: "text", value: "DIR", help: "go on with the adapter in a directory of PEFT's" },
] as const satisfies readonly OptionSpec[];
