import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../files/mod.ts";
import { fromDeepSpeed, isDeepSpeed } from "../../../train/config/deepspeed.ts";

/** As published for the trainer of Hugging Face, with numbers in place of "auto". */
const PUBLISHED = {
  bf16: { enabled: true },
  fp16: { enabled: false, loss_scale: 0, initial_scale_power: 16 },
  optimizer: { type: "AdamW", params: { lr: 3e-4, betas: [0.8, 0.99], eps: 1e-8, weight_decay: 0.01 } },
  scheduler: {
    type: "WarmupCosineLR",
    params: { total_num_steps: 1000, warmup_num_steps: 50, cos_min_ratio: 0.1, warmup_type: "linear" },
  },
  zero_optimization: {
    ...{ stage: 2, overlap_comm: true, contiguous_gradients: true, reduce_bucket_size: 5e8 },
    ...{ allgather_partitions: true, offload_optimizer: { device: "none" } },
  },
  ...{ gradient_clipping: 1.0, steps_per_print: 100, wall_clock_breakdown: false },
  ...{ train_batch_size: 16, train_micro_batch_size_per_gpu: 2, gradient_accumulation_steps: 4 },
};

Deno.test("fromDeepSpeed() takes over what has the same meaning, and lists what has no effect", () => {
  assertEquals(isDeepSpeed(PUBLISHED), true);
  assertEquals(isDeepSpeed({ layers: 2, batch: 4 }), false);
  assertEquals(fromDeepSpeed(PUBLISHED, "ds.json", undefined), {
    options: {
      ...{
        batch: 16,
        microBatch: 2,
        dp: 2,
        gradClip: 1,
        zero: 2,
        precision: "bf16",
        lr: 3e-4,
        weightDecay: 0.01,
      },
      ...{ beta1: 0.8, beta2: 0.99, steps: 1000, warmup: 50, minLr: 3e-4 * 0.1 },
    },
    ignored: [
      ...["steps_per_print", "wall_clock_breakdown", "zero_optimization.overlap_comm"],
      ...["zero_optimization.contiguous_gradients", "zero_optimization.reduce_bucket_size"],
      "zero_optimization.allgather_partitions",
    ],
  });
});

Deno.test('fromDeepSpeed() leaves "auto" to options, and makes the batch of what one device has', () => {
  const auto = { train_batch_size: "auto", gradient_clipping: "auto", zero_optimization: { stage: "auto" } };
  assertEquals(fromDeepSpeed(auto, "c", undefined).options, {});
  const perDevice = { train_micro_batch_size_per_gpu: 2, gradient_accumulation_steps: 3 };
  assertEquals(fromDeepSpeed(perDevice, "c", 4).options, { batch: 24, microBatch: 2 });
});

Deno.test("fromDeepSpeed() refuses by name what would change the run", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ fp16: { enabled: true } }, "fp16.enabled true is not computed here; use bf16"],
    [{ optimizer: { type: "Lion" } }, 'optimizer.type "Lion" is not computed here'],
    [{ optimizer: { type: "Adam", params: { adam_w_mode: false } } }, "optimizer.params.adam_w_mode false"],
    [{ optimizer: { type: "AdamW", params: { eps: 1e-6 } } }, "optimizer.params.eps 0.000001 must be 1e-8"],
    [
      { optimizer: { type: "AdamW", params: { amsgrad: true } } },
      "optimizer.params.amsgrad true is not honoured",
    ],
    [{ scheduler: { type: "OneCycle" } }, 'scheduler.type "OneCycle" is not computed here'],
    [{ scheduler: { type: "WarmupCosineLR" } }, 'scheduler.params.warmup_type "log" must be "linear"'],
    [
      { zero_optimization: { stage: 3, offload_param: { device: "cpu" } } },
      "zero_optimization.offload_param",
    ],
    [
      { zero_optimization: { stage: 3, zero_quantized_weights: true } },
      "zero_optimization.zero_quantized_weights",
    ],
    [{ optimizer: "AdamW" }, 'optimizer "AdamW" must be an object'],
    [{ curriculum_learning: { enabled: true } }, "curriculum_learning"],
    [{ constructor: { enabled: true } }, "constructor"],
    [
      { train_batch_size: 12, train_micro_batch_size_per_gpu: 5, gradient_accumulation_steps: 1 },
      "train_batch_size 12",
    ],
    [{ train_micro_batch_size_per_gpu: 5 }, "needs train_batch_size, or --dp beside the file"],
  ];
  for (const [json, message] of cases) {
    const { message: text } = assertThrows(
      () => fromDeepSpeed(json, "ds.json", undefined),
      UsageError,
      message,
    );
    assertEquals([text.startsWith("Cannot use ds.json: "), text.includes("\n")], [true, false]);
  }
});

Deno.test("the DeepSpeed configuration of docs/migrating.md is taken as it is", async () => {
  const text = await Deno.readTextFile(new URL("../../../docs/migrating.md", import.meta.url));
  const json = JSON.parse(/```json\n(.*?)```/s.exec(text)![1]);
  assertEquals(fromDeepSpeed(json, "c", undefined), {
    options: {
      ...{ batch: 8, microBatch: 2, dp: 2, gradClip: 1, zero: 2, precision: "bf16" },
      ...{ lr: 1e-3, weightDecay: 0.1, beta1: 0.9, beta2: 0.95 },
    },
    ignored: ["zero_optimization.overlap_comm"],
  });
});
