/**
 * The options of a training run: one table from which the command line, its help, the library's option names
 * and the checks are made.
 *
 * @module
 */
import { MODEL_OPTIONS } from "./model_options.ts";
import { flagOf } from "./option_names.ts";
import { TUNING_OPTIONS } from "./tuning_options.ts";
import { COUNT, FLAG, FRACTION, type OptionSpec, PERIOD } from "./option_spec.ts";

/** All options of `train`, in the order of its help. */
export const TRAIN_OPTIONS = [
  {
    key: "config",
    kind: "text",
    value: "FILE",
    help: "options as JSON, or a DeepSpeed config; those given beside it go before",
  },
  {
    key: "data",
    kind: "text",
    value: "FILE",
    help: "text (.txt) or tokens (.bin, .npy); without it Moby Dick",
  },
  {
    key: "dtype",
    kind: "choice",
    choices: ["uint16", "uint32"],
    help: "of a .bin without a header (uint16)",
  },
  { ...FLAG, key: "packing", help: "conversations (.jsonl) share sequences; none sees another" },
  { ...FLAG, key: "truncate", help: "conversations that are too long are cut; otherwise refused" },
  { ...FLAG, key: "dataChanged", help: "with --resume: go on although the data are others" },
  {
    ...COUNT,
    key: "vocab",
    max: 2 ** 24,
    help: "vocabulary (256 for text, 50257 for .bin, or that of --init)",
  },
  {
    key: "tokenizer",
    kind: "text",
    value: "DIR",
    help: "tokenizer of a new model (bytes); --init has its own",
  },
  {
    key: "init",
    kind: "text",
    value: "DIR",
    help: "start from the weights of a Hugging Face directory or a run",
  },
  { key: "resume", kind: "text", value: "DIR", help: "go on from a checkpoint, to --steps in all" },
  { key: "out", kind: "text", value: "DIR", help: "folder of the checkpoints step-N (a new out/run-N)" },
  { ...FLAG, key: "overwrite", help: "remove what another run has left in --out and --log" },
  ...MODEL_OPTIONS,
  ...TUNING_OPTIONS,
  { ...COUNT, key: "batch", default: 12, isRecipe: true, help: "sequences of a step, over all devices" },
  { ...COUNT, key: "microBatch", help: "sequences of a forward pass of one device (all of a device's)" },
  { ...COUNT, key: "steps", default: 3000, isRecipe: true, help: "optimizer steps in all" },
  {
    key: "lr",
    kind: "number",
    value: "X",
    min: 0,
    isMinOpen: true,
    default: 3e-3,
    isRecipe: true,
    help: "learning rate; wider models want less",
  },
  {
    key: "minLr",
    kind: "number",
    value: "X",
    min: 0,
    isRecipe: true,
    help: "learning rate at the end (--lr / 10)",
  },
  {
    key: "warmup",
    kind: "integer",
    value: "N",
    min: 0,
    default: 100,
    isRecipe: true,
    help: "steps of linear warm-up; at most a tenth of --steps unless given",
  },
  {
    key: "weightDecay",
    kind: "number",
    value: "X",
    min: 0,
    default: 0.1,
    isRecipe: true,
    help: "of matrices only",
  },
  {
    key: "gradClip",
    kind: "number",
    value: "X",
    min: 0,
    default: 1,
    isRecipe: true,
    help: "gradient norm; 0 = off",
  },
  { ...FRACTION, key: "beta1", default: 0.9, help: "AdamW's first moment" },
  { ...FRACTION, key: "beta2", default: 0.95, help: "AdamW's second moment" },
  {
    key: "seed",
    kind: "integer",
    value: "N",
    min: 0,
    max: 2 ** 32 - 1,
    default: 1337,
    isRecipe: true,
    help: "of all random numbers",
  },
  {
    key: "order",
    kind: "choice",
    choices: ["shuffle", "sequential"],
    default: "shuffle",
    isRecipe: true,
    help: "order of the sequences",
  },
  {
    key: "layout",
    kind: "text",
    value: "LAYOUT",
    help: 'such as "data(2, pipeline(2, tensor(2, sp)))", in place of the next seven',
  },
  { ...COUNT, key: "dp", max: 1024, help: "devices, each with a replica (all cores, at most --batch)" },
  { ...COUNT, key: "cp", max: 1024, default: 1, help: "devices that share out the tokens of each sequence" },
  { ...COUNT, key: "ep", max: 1024, default: 1, help: "devices that share out the experts of each layer" },
  { ...COUNT, key: "tp", max: 1024, default: 1, help: "devices that share every layer's weights" },
  { ...FLAG, key: "sp", help: "with --tp: rows between split layers are shared out, too" },
  { ...COUNT, key: "pp", max: 1024, default: 1, help: "pipeline stages, each on its own devices" },
  {
    key: "zero",
    kind: "integer",
    value: "0..3",
    min: 0,
    max: 3,
    values: [0, 1, 2, 3],
    default: 0,
    help: "replicas share 1 moments, 2 + gradients, 3 + weights",
  },
  {
    key: "schedule",
    kind: "text",
    value: "NAME|FILE",
    default: "1f1b",
    help: "gpipe, 1f1b, interleaved, zero-bubble, or a file",
  },
  { ...COUNT, key: "virtualStages", max: 64, default: 2, help: "stages per device of interleaved" },
  {
    key: "partition",
    kind: "text",
    value: "HOW",
    default: "uniform",
    help: "layers by uniform, parameters, measured, type:REGEX, or 2,2,2",
  },
  {
    key: "recompute",
    kind: "choice",
    choices: ["none", "selective", "full"],
    default: "none",
    help: "activations computed again, not kept",
  },
  {
    key: "numerics",
    kind: "choice",
    choices: ["fast", "exact"],
    default: "fast",
    isRecipe: true,
    help: "exact: the same bits on every layout",
  },
  {
    key: "precision",
    kind: "choice",
    choices: ["f32", "bf16"],
    default: "f32",
    isRecipe: true,
    help: "bf16 halves weights, activations and gradients",
  },
  {
    key: "lossScale",
    kind: "choice",
    choices: ["none", "dynamic"],
    default: "none",
    isRecipe: true,
    help: "dynamic: steps whose gradients overflow are left out",
  },
  {
    key: "kernels",
    kind: "text",
    value: "NAMES",
    default: "wasm",
    help: "wasm, webgpu, auto, onnx, reference; by rank: wasm,webgpu",
  },
  {
    key: "deviceMemory",
    kind: "bytes",
    value: "SIZE",
    min: 2 ** 20,
    max: 2 ** 32 - 2 ** 16,
    default: "512MiB",
    help: "memory of one device",
  },
  { ...PERIOD, key: "evalEvery", default: 250, help: "steps between evaluations; 0 = never" },
  {
    ...FLAG,
    key: "evalAll",
    help: "with --eval-only: all of the data, from the start, not what is held out",
  },
  { ...COUNT, key: "evalSamples", help: "with --eval-all: sequences at most (all)" },
  { ...FLAG, key: "evalOnly", help: "with --init or --resume: evaluate once, train and write nothing" },
  { ...PERIOD, key: "saveEvery", default: 0, help: "steps between checkpoints; 0 = at the end" },
  { ...PERIOD, key: "keep", default: 0, help: "newest checkpoints that are kept; 0 = all" },
  {
    key: "shardSize",
    kind: "bytes",
    value: "SIZE",
    min: 1,
    help: "a checkpoint's weights in files of at most this size (one)",
  },
  { ...PERIOD, key: "checkReplicas", default: 0, help: "steps between comparisons of replicas; 0 = never" },
  {
    key: "log",
    kind: "text",
    value: "FILE",
    help: "write a JSON line for every step, evaluation, and the end",
  },
  { ...FLAG, key: "json", help: "print these lines on standard output and nothing else" },
] as const satisfies readonly OptionSpec[];

/** Options as a user gives them, by `minLr` or `min-lr`: texts of the command line, or values of the library. */
export type GivenOptions = { readonly [name: string]: string | number | boolean | undefined };

/** Help text: one line an option. */
export function describeOptions(options: readonly OptionSpec[] = TRAIN_OPTIONS): string {
  const rows = options.map((option) => {
    const value = option.choices?.join("|") ?? option.value ?? "";
    const preset = option.default === undefined || option.kind === "flag" ? "" : ` [${option.default}]`;
    return [`  ${flagOf(option.key)} ${value}`.trimEnd(), `${option.help}${preset}`];
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => left.padEnd(width) + right).join("\n");
}
