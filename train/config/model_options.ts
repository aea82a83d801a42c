import { COUNT, FLAG, type OptionSpec } from "./option_spec.ts";

/** Options that say what a new model is, in the order of the help. */
export const MODEL_OPTIONS = [
  {
    key: "model",
    kind: "text",
    value: "FAMILY",
    help: "of a new model: gpt2, llama, mistral, qwen2, qwen3, mixtral, qwen3_moe",
  },
  { ...COUNT, key: "layers", default: 4, isRecipe: true, help: "transformer blocks" },
  { ...COUNT, key: "heads", default: 4, isRecipe: true, help: "attention heads; must divide --embed" },
  {
    ...COUNT,
    key: "kvHeads",
    isRecipe: true,
    help: "heads of keys and values (--heads); must divide --heads",
  },
  { ...COUNT, key: "headDim", isRecipe: true, help: "elements of a head (--embed / --heads)" },
  { ...COUNT, key: "embed", default: 128, isRecipe: true, help: "width of the model" },
  {
    ...COUNT,
    key: "inner",
    isRecipe: true,
    help: "width inside of feed-forward layers (that of the family)",
  },
  { ...FLAG, key: "tied", help: "the output head is the table of tokens (a new gpt2 always)" },
  {
    ...COUNT,
    key: "context",
    default: 64,
    isRecipe: true,
    help: "tokens of a sequence; with --init at most its",
  },
  {
    key: "experts",
    kind: "integer",
    value: "N",
    min: 0,
    max: 4096,
    default: 0,
    isRecipe: true,
    help: "experts per layer; 0 = one feed-forward for all",
  },
  { ...COUNT, key: "topKExperts", default: 1, isRecipe: true, help: "experts of a token" },
  {
    key: "capacityFactor",
    kind: "number",
    value: "X",
    min: 0,
    isMinOpen: true,
    default: 1.25,
    isRecipe: true,
    help: "room of an expert, in fair shares",
  },
] as const satisfies readonly OptionSpec[];
