import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { loadDirectory } from "../../checkpoint/mod.ts";
import { readTensor, UsageError } from "../../files/mod.ts";
import { generate } from "../../serve/mod.ts";
import { prepareTraining, startTraining, type TrainEvent, type TrainOptions } from "../../train/mod.ts";
import gpt2 from "../../models/gpt2/mod.ts";
import { loadStart, startOf, textTokenizer } from "../../train/starting_point.ts";
import { within } from "../support/deadline.ts";
import { pool } from "../support/pool.ts";
import { BYTES } from "../../tokenizers/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { BASE, type Variant, writeVariant } from "./support/model_cases.ts";
import { runToEnd, tinyClassifier, tinyGpt } from "./support/runs.ts";

const TOKENIZER: Variant = {
  config: { eos_token_id: 5, pad_token_id: 6, my_note: { kept: true } },
  files: {
    "tokenizer.json": '{"model": {}}',
    "merges.txt": "#version: 0.2\n",
    "generation_config.json": '{"eos_token_id": 7}',
    "README.md": "not copied",
  },
};

/** What starts from a model takes its sizes. */
async function fromModel(folder: string, init: string, more: TrainOptions = {}): Promise<TrainOptions> {
  const { model: _, data, ...rest } = await tinyGpt(folder);
  return { ...rest, data, mesh: { dp: 1 }, init, ...more };
}

/** Tokens below 256, as a file of ids. */
async function writeTokens(folder: string): Promise<string> {
  const path = `${folder}/tokens.bin`;
  await Deno.writeFile(
    path,
    new Uint8Array(Uint16Array.from({ length: 2000 }, (_, i) => i * i % 251).buffer),
  );
  return path;
}

async function evaluate(options: TrainOptions): Promise<{ losses: number[]; statement: string }> {
  const prepared = await prepareTraining({ pool, ...options, evalOnly: true }), events: TrainEvent[] = [];
  const training = await startTraining(prepared);
  await within((async () => {
    for await (const event of training.events()) events.push(event);
  })());
  assertEquals(events.map(({ type }) => type), ["eval", "done"]);
  const losses = events.flatMap((event) => event.type === "eval" ? [event.loss] : []);
  return { losses, statement: prepared.statement };
}

Deno.test("loadStart() says where the weights are from, and which dropout is not applied", async () => {
  assertEquals((await loadStart({ init: BASE })).notes, [
    `starting from the weights of ${BASE}`,
    `dropout (attn_pdrop 0.1, embd_pdrop 0.1, resid_pdrop 0.1) of ${BASE}/config.json is not applied`,
  ]);
  assertEquals((await loadStart({})).notes, []);
});

/** Bytes were fed as ids to a model of 50257 tokens: it trained, on nonsense. */
Deno.test("textTokenizer() is that of the model, that of --tokenizer, or bytes where nothing else is said", async () => {
  const at = (vocab: number, files: string[] = []) => {
    const config = { layers: 1, heads: 1, embed: 1, context: 1, vocab };
    const companions = { from: "m", files, config: { model_type: "gpt2", vocab_size: vocab } };
    return { loaded: { folder: "m", family: gpt2, config, companions } };
  };
  const none = { tokenizer: undefined, vocab: undefined };
  assertEquals(await textTokenizer({}, none), BYTES);
  assertEquals(await textTokenizer(at(256), none), BYTES);
  assertEquals((await textTokenizer(at(50257), none)).name, "GPT-2");
  const refuses = (from: Parameters<typeof textTokenizer>[0], options: object, text: string) =>
    assertRejects(() => textTokenizer(from, { ...none, ...options }), UsageError, text);
  await refuses(
    at(32000),
    {},
    "Cannot train on a text: the model of m has a vocabulary of 32000 and no tokenizer.json",
  );
  await refuses(at(256), { tokenizer: "t" }, "Cannot use --tokenizer t: the model of m brings its own");
  await refuses({}, { tokenizer: "/nowhere" }, "Cannot use --tokenizer /nowhere: it does not exist");
  await refuses(
    {},
    { tokenizer: "tests/golden" },
    "it has no tokenizer.json, and no vocab.json with merges.txt",
  );
  await refuses(at(256, ["tokenizer.model"]), {}, "supported is tokenizer.json; write it with transformers");
});

/** Checkpoints of a fine-tuned model had neither tokenizer nor end of text: nobody could use them. */
Deno.test("what goes with a model goes into its checkpoints, and into those of a run that goes on", () =>
  withTempDir(async (folder) => {
    const init = await writeVariant(`${folder}/m`, TOKENIZER), data = await writeTokens(folder);
    const first = await fromModel(folder, init, { data, steps: 2, out: `${folder}/out` });
    const { result } = await runToEnd(first);
    await Deno.remove(init, { recursive: true });
    const { init: _, ...rest } = first;
    const second = { ...rest, resume: result.checkpoint!, steps: 4, out: `${folder}/more` };
    const resumed = await runToEnd(second);
    for (const checkpoint of [result.checkpoint!, resumed.result.checkpoint!]) {
      const names = [...Deno.readDirSync(checkpoint)].map(({ name }) => name);
      assert(!names.includes("README.md"), `${names}`);
      for (const name of ["tokenizer.json", "merges.txt", "generation_config.json"]) {
        assertEquals(await Deno.readTextFile(`${checkpoint}/${name}`), TOKENIZER.files![name]);
      }
      const config = JSON.parse(await Deno.readTextFile(`${checkpoint}/config.json`));
      const { eos_token_id, pad_token_id, bos_token_id, my_note, attn_pdrop, n_positions } = config;
      assertEquals([eos_token_id, pad_token_id, bos_token_id, my_note], [5, 6, 50256, { kept: true }]);
      assertEquals([attn_pdrop, n_positions, config.model_type], [0, 16, "gpt2"]);
    }
    // Not with bytes, either.
    const text = (await tinyGpt(folder)).data;
    await assertRejects(
      () => prepareTraining({ ...second, steps: 9, data: text, dataChanged: true }),
      UsageError,
      "tokenizer.json: Tokenizer must contain",
    );
  }));

Deno.test("a shorter --context takes the first positions of the model; a longer one is refused", () =>
  withTempDir(async (folder) => {
    const options = await fromModel(folder, BASE, { context: 8, steps: 1, lr: 1e-9, out: `${folder}/out` });
    const { result } = await runToEnd(options),
      { family, config, weights } = await loadDirectory(result.checkpoint!);
    const sizes = family.sizes(config);
    assertEquals([sizes.context, weights.get("wpe.weight")!.shape], [8, [8, 16]]);
    const before = readTensor((await loadDirectory(BASE)).weights.get("wpe.weight")!).slice(0, 8 * 16);
    const after = readTensor(weights.get("wpe.weight")!);
    assert(after.every((value, i) => Math.abs(value - before[i]) < 1e-6), "they are the first rows");
    const longer = "Cannot use --context 17: the model of --init has 16 positions; use 16 or less";
    await assertRejects(() => prepareTraining({ ...options, context: 17 }), UsageError, longer);
    const resumed = { ...options, init: undefined, resume: `${folder}/out`, context: 4, steps: 3 };
    await assertRejects(() => prepareTraining(resumed), UsageError, "the model to load has 8");
    const from = await loadStart({ init: BASE });
    assertEquals(startOf(from, { context: 16 }), from.start);
  }));

Deno.test("--eval-only has the loss of the last evaluation of a run, on any layout, and writes nothing", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), mesh: { dp: 1 }, evalEvery: 20, out: `${folder}/out` };
    const { evals: [loss] } = await runToEnd(options);
    const { data, deviceMemory } = options, before = [...Deno.readDirSync(folder)].length;
    const from = { data, deviceMemory, evalEvery: 0 };
    const layouts: TrainOptions[] = [
      { mesh: { dp: 1 }, resume: `${folder}/out` },
      { mesh: { dp: 2 }, init: `${folder}/out/step-20`, zero: 3 },
      { mesh: { dp: 1 }, pp: 2, microBatch: 1, init: `${folder}/out` },
      { mesh: { dp: 1 }, tp: 2, init: `${folder}/out` },
    ];
    for (const layout of layouts) {
      const { losses } = await evaluate({ ...from, ...layout });
      assert(losses.length === 1 && Math.abs(losses[0] - loss) < 5e-6, `${losses}, not ${loss}`);
    }
    assertEquals([...Deno.readDirSync(folder)].length, before);
    const refused = (more: TrainOptions) => prepareTraining({ ...from, evalOnly: true, ...more });
    await assertRejects(() => refused({}), UsageError, "--eval-only without a model");
    const out = { init: BASE, out: `${folder}/x` };
    await assertRejects(() => refused(out), UsageError, "--eval-only with --out: it writes nothing");
  }));

Deno.test("--eval-only evaluates all of a text of which nothing can be held out", () =>
  withTempDir(async (folder) => {
    const data = `${folder}/short.txt`;
    await Deno.writeTextFile(data, "a short text of forty characters or so..");
    const { losses, statement } = await evaluate({
      init: BASE,
      data,
      mesh: { dp: 1 },
      deviceMemory: "16MiB",
    });
    assert(losses[0] > 1 && losses[0] < 9, `${losses}`);
    assertStringIncludes(statement, "so all of them are evaluated");
    const { data: samples } = tinyClassifier({ inputs: 2, hidden: 2, classes: 2 });
    const all = { ...samples as object, numTrain: 64 } as TrainOptions["data"];
    await assertRejects(
      () => prepareTraining({ init: BASE, data: all, evalOnly: true, mesh: { dp: 1 } }),
      UsageError,
      "give a smaller numTrain",
    );
  }));

/** Bytes of a prompt were taken for ids of a tokenizer's tokens. */
Deno.test("generate() takes ids for a model with a tokenizer, and ends where a text does", () =>
  withTempDir(async (folder) => {
    const path = await writeVariant(`${folder}/m`, TOKENIZER), ids = [72, 101, 108, 108, 111];
    const write = (prompt: string | number[], more = {}) =>
      Array.fromAsync(generate(path, { prompt, numTokens: 11, temperature: 0, ...more }));
    await assertRejects(() => write("Hello"), UsageError, `Cannot use ${path}/tokenizer.json: `);
    const continuation = [138, 179, 179, 179, 179, 212, 212, 212, 212, 212, 212];
    assertEquals(await write(ids), continuation);
    await Deno.writeTextFile(`${path}/generation_config.json`, '{"eos_token_id": [9, 212]}');
    assertEquals(await write(ids), continuation.slice(0, 5));
    assertEquals(await write(ids, { ignoreEos: true }), continuation);
    for (
      const [bad, text] of [[[1, 256], "id 256 at position 1"], [[-1], "id -1"], [[0.5], "id 0.5"]] as const
    ) {
      await assertRejects(() => write([...bad]), UsageError, text);
    }
    await assertRejects(
      () => write([]),
      UsageError,
      "Cannot generate from no --prompt-ids: give at least one id",
    );
  }));
