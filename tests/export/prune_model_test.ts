import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { loadDirectory } from "../../checkpoint/mod.ts";
import { parseSparsity, pruneModel } from "../../export/mod.ts";
import { readTensor, UsageError } from "../../files/mod.ts";
import { generateBatch, resolveSample } from "../../serve/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { wholeScores } from "../support/whole_scores.ts";
import { runToEnd } from "../train/support/runs.ts";

const goldenOf = (name: string) => new URL(`../golden/${name}/init`, import.meta.url).pathname;

async function valuesOf(folder: string): Promise<Map<string, Float32Array>> {
  const { weights } = await loadDirectory(folder);
  return new Map([...weights].map(([name, tensor]) => [name, readTensor(tensor)]));
}

Deno.test("pruneModel() makes the smallest weights of each layer zero, and no others", () =>
  withTempDir(async (folder) => {
    for (
      const [name, weight] of [["llama-tiny", "model.layers.0.mlp.up_proj.weight"], [
        "gpt2-tiny",
        "h.0.mlp.c_fc.weight",
      ]]
    ) {
      const out = `${folder}/${name}`, before = await valuesOf(goldenOf(name));
      const { zeros, parameters } = await pruneModel(goldenOf(name), out, parseSparsity("0.3"));
      const after = await valuesOf(out),
        changed = [...before].filter(([key, values]) => values.some((v, i) => v !== after.get(key)![i]));
      assert(changed.every(([key]) => /(?:proj|c_fc|c_attn)\.weight$/.test(key)) && changed.length > 4);
      const [old, pruned] = [before.get(weight)!, after.get(weight)!],
        kept = pruned.filter((value) => value !== 0);
      assertEquals(pruned.length - kept.length, Math.floor(0.3 * old.length));
      const smallest = kept.reduce((least, value) => Math.min(least, Math.abs(value)), Infinity);
      old.forEach((value, i) => assert(pruned[i] === value || Math.abs(value) <= smallest));
      assert(zeros > 0.2 * parameters && zeros < 0.3 * parameters);
    }
  }));

Deno.test("pruneModel() leaves two of every four neighbouring inputs, in both layouts", () =>
  withTempDir(async (folder) => {
    const llama = "model.layers.1.self_attn.q_proj.weight", gpt = "h.1.attn.c_attn.weight";
    await pruneModel(goldenOf("llama-tiny"), `${folder}/llama`, parseSparsity("2:4"));
    await pruneModel(goldenOf("gpt2-tiny"), `${folder}/gpt`, parseSparsity("2:4"));
    const rows = (await valuesOf(`${folder}/llama`)).get(llama)!,
      columns = (await valuesOf(`${folder}/gpt`)).get(gpt)!;
    const old = (await valuesOf(goldenOf("llama-tiny"))).get(llama)!, outputs = 3 * 64;
    for (let i = 0; i < 64; i += 4) {
      const four = [0, 1, 2, 3],
        [row, column] = [four.map((t) => rows[i + t]), four.map((t) => columns[(i + t) * outputs + 7])];
      assertEquals([row, column].map((values) => values.filter((value) => value === 0).length), [2, 2]);
      const sizes = four.map((t) => Math.abs(old[i + t])).sort((a, b) => b - a);
      assertEquals(row.filter((value) => value !== 0).map(Math.abs).sort((a, b) => b - a), sizes.slice(0, 2));
    }
  }));

Deno.test("pruneModel() takes heads out: a smaller model, whose heads are as they were", () =>
  withTempDir(async (folder) => {
    const out = `${folder}/out`,
      { parameters, before } = await pruneModel(goldenOf("llama-tiny"), out, parseSparsity("heads:2"));
    const model = await loadDirectory(out),
      { heads, kvHeads, embed, headDim } = model.family.sizes(model.config);
    assertEquals([heads, kvHeads, embed, headDim], [2, 1, 64, 16]);
    assertEquals(before - parameters, 2 * (2 * 2 * 16 * 64 + 2 * 16 * 64));
    const request = { id: "a", prompt: [1, 2, 3], ...resolveSample({ numTokens: 3 }) };
    assertEquals((await Array.fromAsync(generateBatch(out, [request])))[0].chosen.length, 3);
    // The same as the whole model without what the missing heads give.
    const whole = await loadDirectory(goldenOf("llama-tiny")),
      old = await valuesOf(goldenOf("llama-tiny")),
      own = await valuesOf(out);
    const name = "model.layers.0.self_attn.o_proj.weight",
      row = old.get(name)!.subarray(0, 64),
      kept = own.get(name)!.subarray(0, 32);
    assert([0, 32].some((first) => kept.every((value, i) => value === row[first + i])));
    assert(
      (await wholeScores(model, [1, 2, 3]))[2].length === (await wholeScores(whole, [1, 2, 3]))[2].length,
    );
  }));

Deno.test("a pruned model is trained on without filling its zeros, on any layout", () =>
  withTempDir(async (folder) => {
    const out = `${folder}/pruned`, data = `${folder}/data.bin`;
    await pruneModel(goldenOf("llama-tiny"), out, parseSparsity("0.5"));
    const ids = Uint16Array.from({ length: 4000 }, (_, i) => (i * i) % 97);
    await Deno.writeFile(data, new Uint8Array(ids.buffer));
    const options = {
      data,
      init: out,
      keepZeros: true,
      batch: 4,
      context: 32,
      steps: 4,
      lr: 1e-2,
      warmup: 0,
      evalEvery: 0,
    };
    const before = await valuesOf(out), losses: (readonly number[])[] = [];
    for (
      const layout of [{ dp: 1 }, { dp: 2, zero: 3 as const }, { dp: 1, tp: 2 }, {
        dp: 1,
        precision: "bf16" as const,
      }]
    ) {
      const run = await runToEnd({ ...options, ...layout, out: `${folder}/${losses.length}` });
      losses.push(run.losses);
      const after = await valuesOf(run.result.checkpoint!), name = "model.layers.0.mlp.up_proj.weight";
      const [old, trained] = [before.get(name)!, after.get(name)!];
      assert(old.some((value) => value === 0) && trained.some((value, i) => value !== old[i]));
      for (const [key, values] of before) {
        if (!key.endsWith("proj.weight")) continue;
        values.forEach((value, i) => value === 0 && assertEquals(after.get(key)![i], 0, `${key}, ${i}`));
      }
    }
    // A run that goes on does so without being told.
    const { result } = await runToEnd({ data, resume: `${folder}/0`, out: `${folder}/0`, steps: 6 });
    const resumed = await valuesOf(result.checkpoint!);
    for (const [key, values] of before) {
      if (key.endsWith("proj.weight")) {
        values.forEach((value, i) => value === 0 && assertEquals(resumed.get(key)![i], 0));
      }
    }
    losses[1].forEach((loss, i) => assert(Math.abs(loss - losses[0][i]) < 1e-4));
  }));

Deno.test("pruneModel() refuses what makes no sense, and writes nothing", () =>
  withTempDir(async (folder) => {
    for (const text of ["0", "1", "1.5", "3:4", "heads:0", "heads:", "half", "-0.5"]) {
      assertThrows(() => parseSparsity(text), UsageError, `Cannot use --sparsity ${text}: give a share`);
    }
    const refused: [string, string, string][] = [
      ["llama-tiny", "heads:1", "Cannot leave 1 of 4 heads out: it may be 2 to 2 in steps of 2"],
      ["llama-tiny", "heads:4", "Cannot leave 4 of 4 heads out"],
      ["gpt2-tiny", "heads:1", "its heads share the width of the model"],
    ];
    for (const [name, sparsity, message] of refused) {
      const prune = () => pruneModel(goldenOf(name), `${folder}/out`, parseSparsity(sparsity));
      await assertRejects(prune, UsageError, message);
    }
    await Deno.mkdir(`${folder}/taken`);
    const prune = () => pruneModel(goldenOf("llama-tiny"), `${folder}/taken`, parseSparsity("0.5"));
    await assertRejects(prune, UsageError, "Cannot write the pruned model to");
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name), ["taken"]);
  }));
