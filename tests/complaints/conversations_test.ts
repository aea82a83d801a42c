/** Complaints about fine-tuning on conversations; see numbers_test.ts. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MASKED, packConversations, readConversations } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { chatPrompt } from "../../serve/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { chatFiles, chatReader, lineOf } from "../support/chat.ts";
import { run } from "../support/command.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd } from "../train/support/runs.ts";

const TURNS = [["the whale", "white"], ["the sea", "it is what you see"], ["what", "that"], [
  "is it",
  "the white sea, and that",
]];
const LINES = TURNS.map((turns) => lineOf(...turns)), reader = await chatReader(), { tokenizer } = reader;
const END = tokenizer.idOf("<|end|>")!;
const read = (lines = LINES) => readConversations(lines.join("\n"), "c.jsonl", reader);

/** A run on conversations, with a new model that has their vocabulary. */
async function conversationRun(
  folder: string,
  more: TrainOptions = {},
  lines = LINES,
): Promise<TrainOptions> {
  await Deno.mkdir(`${folder}/tok`, { recursive: true });
  for (const [name, text] of Object.entries(chatFiles())) {
    await Deno.writeTextFile(`${folder}/tok/${name}`, text);
  }
  await Deno.writeTextFile(`${folder}/c.jsonl`, lines.join("\n"));
  return {
    ...{
      model: "llama",
      tokenizer: `${folder}/tok`,
      data: `${folder}/c.jsonl`,
      layers: 2,
      heads: 2,
      embed: 16,
      context: 24,
    },
    ...{ batch: 4, steps: 4, warmup: 1, lr: 0.01, order: "sequential", evalEvery: 0, dp: 1, ...more },
  };
}

// 6: tloen/alpaca-lora#306, volcengine/verl#3562
Deno.test('"the mask is shifted": the first token of an answer and its end are trained', () => {
  const context = 24, { samples } = packConversations(read(), "c", { context });
  read().forEach(({ ids, isTrained }, row) => {
    const first = isTrained.indexOf(true), last = isTrained.lastIndexOf(true);
    const targets = samples.targets.subarray(row * context, (row + 1) * context);
    assertEquals([targets[first - 1], targets[last - 1], ids[last]], [ids[first], END, END]);
    assertEquals([targets[first - 2], targets[last]], [MASKED, MASKED]);
    assertEquals(tokenizer.nameOf(ids[first - 1]), "<|assistant|>");
  });
});

// 7: NVIDIA-NeMo/Megatron-Bridge#4660, huggingface/trl#6357, #1623; 8: OpenJarvis#521
Deno.test('"padding is trained, or the end is not as it pads": what counts is a place, not an id', () => {
  const context = 40, { samples } = packConversations(read(), "c", { context });
  read().forEach(({ ids, isTrained }, row) => {
    const targets = samples.targets.subarray(row * context, (row + 1) * context);
    targets.forEach((id, i) => assertEquals(id, isTrained[i + 1] ? ids[i + 1] : MASKED, `${row}, ${i}`));
  });
});

// 9: huggingface/trl#6671
Deno.test('"a batch without a trained token is a NaN": it is an error before anything runs', () =>
  withTempDir(async (folder) => {
    const options = await conversationRun(folder, {}, [LINES[0], lineOf("a question only")]);
    await assertRejects(() => prepareTraining(options), UsageError, "line 2 has no answer of the assistant");
  }));

// 10: axolotl-ai-cloud/axolotl#1100, unslothai/unsloth-zoo#1023, huggingface/blog#2414
Deno.test('"accumulation is no full batch": uneven numbers of trained tokens weigh as in one batch, on replicas too', () =>
  withTempDir(async (folder) => {
    const options = await conversationRun(folder), whole = await runToEnd(options);
    for (
      const layout of [{ microBatch: 1 }, { dp: 2, microBatch: 1 }, { dp: 4 }, { dp: 2, zero: 2 }] as const
    ) {
      const { losses, gradNorms } = await runToEnd({ ...options, ...layout });
      losses.forEach((loss, i) =>
        assert(Math.abs(loss - whole.losses[i]) < 2e-6, `${JSON.stringify(layout)}: ${loss}`)
      );
      gradNorms.forEach((norm, i) => assert(Math.abs(norm / whole.gradNorms[i] - 1) < 1e-5));
    }
    const hashes = await Promise.all(
      [{}, { microBatch: 1 }, { dp: 2, microBatch: 1 }].map(async (layout) =>
        (await runToEnd({ ...options, ...layout, numerics: "exact" })).lossHash
      ),
    );
    assertEquals(new Set(hashes).size, 1);
  }));

// 11: huggingface/trl#1230, #3067, hiyouga/LlamaFactory#4224
Deno.test('"packed conversations see each other": packed, they have the losses of those that are apart', () =>
  withTempDir(async (folder) => {
    const options = await conversationRun(folder), apart = await runToEnd(options);
    const packed = await runToEnd({ ...options, packing: true, context: 48, batch: 2, steps: 4 });
    assertEquals(packed.losses.length, 4);
    const { job } = await prepareTraining({ ...options, packing: true, context: 48, batch: 2 });
    assert(job.data.kind === "arrays" && job.data.numSamples === 2 && job.data.documents !== undefined);
    packed.losses.forEach((loss, i) =>
      assert(Math.abs(loss - apart.losses[i]) < 2e-6, `${loss}, ${apart.losses[i]}`)
    );
  }));

// 13: Soup#781, unslothai/unsloth#10312
Deno.test('"training and serving begin in different ways": a question has the ids that it was trained with', () =>
  withTempDir(async (folder) => {
    const { result } = await runToEnd(await conversationRun(folder, { out: `${folder}/out` }));
    const asked = await chatPrompt(result.checkpoint!, TURNS[0][0]), [{ ids }] = read();
    assertEquals(ids.slice(0, asked.length), asked);
    assertEquals(tokenizer.nameOf(asked.at(-1)!), "<|assistant|>");
  }));

// 14: huggingface/open-r1#517, karpathy/nanochat#570
Deno.test('"nobody says which tokens are trained": data show marks them, and a run counts them', () =>
  withTempDir(async (folder) => {
    const options = await conversationRun(folder), { statement } = await prepareTraining(options);
    const trained = read().flatMap(({ isTrained }) => isTrained).filter((is) => is).length;
    assert(statement.includes(`${trained} of`) && statement.includes("tokens are trained"), statement);
    const { code, out } = await run(
      "data",
      "show",
      `${folder}/c.jsonl`,
      "--tokenizer",
      `${folder}/tok`,
      "--samples",
      "4",
    );
    assertEquals([code, out.filter((line) => /^\* +\d/.test(line)).length], [0, trained]);
  }));
