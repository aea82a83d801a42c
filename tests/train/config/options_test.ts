import { assert, assertEquals } from "@std/assert";
import { flagOf, keyOf, nearestName } from "../../../train/config/option_names.ts";
import { MODEL_OPTIONS } from "../../../train/config/model_options.ts";
import { COUNT } from "../../../train/config/option_spec.ts";
import { describeOptions, TRAIN_OPTIONS } from "../../../train/config/options.ts";

Deno.test("TRAIN_OPTIONS holds the options that other programs rely on, with their defaults", () => {
  const rows = TRAIN_OPTIONS.map((spec) => `${flagOf(spec.key)} ${"default" in spec ? spec.default : "-"}`);
  assertEquals(rows, [
    "--config -",
    "--data -",
    "--dtype -",
    "--packing false",
    "--truncate false",
    "--data-changed false",
    "--vocab -",
    "--tokenizer -",
    "--init -",
    "--resume -",
    "--out -",
    "--overwrite false",
    "--model -",
    "--layers 4",
    "--heads 4",
    "--kv-heads -",
    "--head-dim -",
    "--embed 128",
    "--inner -",
    "--tied false",
    "--context 64",
    "--experts 0",
    "--top-k-experts 1",
    "--capacity-factor 1.25",
    "--train -",
    "--lora-rank -",
    "--lora-alpha -",
    "--lora-targets -",
    "--keep-zeros false",
    "--adapter -",
    "--batch 12",
    "--micro-batch -",
    "--steps 3000",
    "--lr 0.003",
    "--min-lr -",
    "--warmup 100",
    "--weight-decay 0.1",
    "--grad-clip 1",
    "--beta1 0.9",
    "--beta2 0.95",
    "--seed 1337",
    "--order shuffle",
    "--layout -",
    "--dp -",
    "--cp 1",
    "--ep 1",
    "--tp 1",
    "--sp false",
    "--pp 1",
    "--zero 0",
    "--schedule 1f1b",
    "--virtual-stages 2",
    "--partition uniform",
    "--recompute none",
    "--numerics fast",
    "--precision f32",
    "--loss-scale none",
    "--kernels wasm",
    "--device-memory 512MiB",
    "--eval-every 250",
    "--eval-all false",
    "--eval-samples -",
    "--eval-only false",
    "--save-every 0",
    "--keep 0",
    "--shard-size -",
    "--check-replicas 0",
    "--log -",
    "--json false",
  ]);
});

Deno.test("keyOf() is the inverse of flagOf()", () => {
  for (const { key } of TRAIN_OPTIONS) assertEquals(keyOf(flagOf(key)), key);
  assertEquals(keyOf("min-lr"), "minLr");
});

Deno.test("describeOptions() has one line for every option, at most 110 wide", () => {
  const lines = describeOptions().split("\n");
  assertEquals(lines.length, TRAIN_OPTIONS.length);
  assert(lines.every((line) => line.length <= 110), lines.filter((line) => line.length > 110).join("\n"));
  assert(
    lines.some((line) =>
      /^ {2}--order shuffle\|sequential {2,}order of the sequences \[shuffle\]$/.test(line)
    ),
  );
});

Deno.test("nearestName() finds what was meant, or nothing", () => {
  const known = TRAIN_OPTIONS.map((spec) => flagOf(spec.key));
  assertEquals(nearestName("--layer", known), "--layers");
  assertEquals(nearestName("--learning-rate", known), undefined);
  assertEquals(nearestName("--micro-bacth", known), "--micro-batch");
  assertEquals(nearestName("--minlr", known), "--min-lr");
  assertEquals(nearestName("--acb", ["--axy", "--abc"]), "--abc");
  assertEquals(nearestName("--x", []), undefined);
});

Deno.test("MODEL_OPTIONS are sizes from 1 on, and among those of train", () => {
  const sizes = MODEL_OPTIONS.filter(({ key }) =>
    ["layers", "heads", "kvHeads", "headDim", "inner"].includes(key)
  );
  assertEquals(sizes.map((spec) => "min" in spec && spec.min), Array(5).fill(COUNT.min));
  assertEquals(MODEL_OPTIONS.every((spec) => (TRAIN_OPTIONS as readonly unknown[]).includes(spec)), true);
});
