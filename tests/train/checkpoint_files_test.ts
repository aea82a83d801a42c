import { assertEquals, assertRejects } from "@std/assert";
import {
  checkpointPath,
  type CheckpointToWrite,
  findCheckpoint,
  prepareOut,
  readConfigJson,
  readModel,
  readMoments,
  readTrainerState,
  writeCheckpoint,
} from "../../train/checkpoint_files.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SHAPES = new Map([["w", [2, 2]], ["b", [2]]]);

function checkpoint(step: number, value = 1): CheckpointToWrite {
  const w = new Float32Array(4).fill(value), b = new Float32Array(2).fill(value);
  return {
    config: { model_type: "gpt2" },
    model: [{ name: "w", shape: [2, 2], data: w }, { name: "b", shape: [2], data: b }],
    optimizer: [
      { name: "exp_avg.w", shape: [2, 2], data: w },
      { name: "exp_avg_sq.w", shape: [2, 2], data: w },
      { name: "exp_avg.b", shape: [2], data: b },
      { name: "exp_avg_sq.b", shape: [2], data: b },
    ],
    state: { step, options: { seed: 1 }, losses: Array(step).fill(0.5) },
  };
}

function list(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

Deno.test("writeCheckpoint() makes a folder that can be read back", async () => {
  await withTempDir(async (out) => {
    const folder = await writeCheckpoint(`${out}/deep/run`, checkpoint(3));
    assertEquals(folder, checkpointPath(`${out}/deep/run`, 3));
    assertEquals(list(folder), [
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "trainer_state.json",
    ]);
    assertEquals(list(`${out}/deep/run`), ["step-3"]);
    assertEquals((await readTrainerState(folder)).step, 3);
    assertEquals(await readConfigJson(folder), { model_type: "gpt2" });
    assertEquals([...(await readModel(folder)).keys()], ["w", "b"]);
    assertEquals((await readMoments(folder, SHAPES)).get("b")!.expAvgSq, new Float32Array([1, 1]));
  });
});

Deno.test("writeCheckpoint() replaces a checkpoint of the same step", async () => {
  await withTempDir(async (out) => {
    await writeCheckpoint(out, checkpoint(2, 1));
    const folder = await writeCheckpoint(out, checkpoint(2, 7));
    assertEquals((await readModel(folder)).get("b")!.data, new Float32Array([7, 7]));
    assertEquals(list(out), ["step-2"]);
  });
});

Deno.test("writeCheckpoint() leaves nothing behind when a tensor cannot be had", async () => {
  await withTempDir(async (out) => {
    const broken = checkpoint(1);
    const data = () => {
      throw new Error("device is gone");
    };
    const model = [broken.model[0], { name: "b", shape: [2], data }];
    await assertRejects(() => writeCheckpoint(out, { ...broken, model }), Error, "device is gone");
    assertEquals(list(out), []);
  });
});

Deno.test("prepareOut() removes half-written checkpoints and puts replaced ones back", async () => {
  await withTempDir(async (out) => {
    for (const name of [".tmp-step-4", ".old-step-2", "step-2", ".old-step-6", "mine"]) {
      await Deno.mkdir(`${out}/${name}`);
    }
    await prepareOut(out);
    assertEquals(list(out), ["mine", "step-2", "step-6"]);
    await Deno.writeTextFile(`${out}/file`, "");
    await assertRejects(() => prepareOut(`${out}/file/x`), UsageError, "choose another --out");
  });
});

Deno.test("findCheckpoint() takes a checkpoint or the newest of a run", async () => {
  await withTempDir(async (out) => {
    await assertRejects(() => findCheckpoint(`${out}/none`), UsageError, "it does not exist");
    await assertRejects(
      () => findCheckpoint(out),
      UsageError,
      "no trainer_state.json and no checkpoint step-N",
    );
    for (const step of [9, 10, 2]) await writeCheckpoint(out, checkpoint(step));
    assertEquals(await findCheckpoint(out), `${out}/step-10`);
    assertEquals(await findCheckpoint(`${out}/step-2`), `${out}/step-2`);
  });
});

Deno.test("readMoments() names a missing or misshapen moment", async () => {
  await withTempDir(async (out) => {
    const folder = await writeCheckpoint(out, checkpoint(1));
    const more = new Map([...SHAPES, ["c", [1]]]);
    await assertRejects(() => readMoments(folder, more), UsageError, "tensor exp_avg.c is missing");
    const other = new Map([["w", [4]], ["b", [2]]]);
    await assertRejects(
      () => readMoments(folder, other),
      UsageError,
      "exp_avg.w has shape [2, 2], expected is [4]",
    );
  });
});
