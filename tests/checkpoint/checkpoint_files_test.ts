import { assertEquals, assertRejects } from "@std/assert";
import {
  beginCheckpoint,
  checkpointPath,
  type CheckpointToWrite,
  completeCheckpoint,
  discardCheckpoint,
  openMoments,
  prepareOut,
  readConfigJson,
  readTrainerState,
  tensorsToWrite,
} from "../../checkpoint/checkpoint_files.ts";
import { openModel } from "../../checkpoint/model_directory.ts";
import { readTensor, storedLength, TensorWriter, UsageError } from "../../files/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SHAPES = new Map([["w", [2, 2]], ["b", [2]]]);
const TENSORS = { weights: SHAPES, trained: SHAPES };

function checkpoint(step: number): CheckpointToWrite {
  const state = { step, options: { seed: 1 }, losses: Array(step).fill(0.5) };
  return { config: { model_type: "gpt2" }, tensors: TENSORS, state };
}

/** Writes a checkpoint whose tensors are full of a value, as one rank would. */
async function writeCheckpoint(out: string, step: number, value = 1): Promise<string> {
  await beginCheckpoint(out, checkpoint(step));
  const { weights, m, v } = tensorsToWrite(out, step, TENSORS);
  using writer = new TensorWriter();
  for (const index of [weights, m, v]) {
    for (const tensor of index.values()) {
      writer.write(tensor, 0, new Float32Array(storedLength(tensor)).fill(value));
    }
  }
  return await completeCheckpoint(out, step);
}

function list(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

Deno.test("completeCheckpoint() makes a folder that can be read back", async () => {
  await withTempDir(async (out) => {
    const folder = await writeCheckpoint(`${out}/deep/run`, 3);
    assertEquals(folder, checkpointPath(`${out}/deep/run`, 3));
    assertEquals(list(folder), [
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "trainer_state.json",
    ]);
    assertEquals(list(`${out}/deep/run`), ["step-3"]);
    assertEquals((await readTrainerState(folder)).step, 3);
    // Some editors leave a byte order mark.
    const state = `${folder}/trainer_state.json`;
    await Deno.writeTextFile(state, "\ufeff" + await Deno.readTextFile(state));
    assertEquals((await readTrainerState(folder)).step, 3);
    assertEquals(await readConfigJson(folder), { model_type: "gpt2" });
    assertEquals([...(await openModel(folder)).keys()], ["w", "b"]);
    const { v } = await openMoments(folder, SHAPES);
    assertEquals(readTensor(v.get("b")!), new Float32Array([1, 1]));
  });
});

Deno.test("completeCheckpoint() replaces a checkpoint of the same step", async () => {
  await withTempDir(async (out) => {
    await writeCheckpoint(out, 2, 1);
    const folder = await writeCheckpoint(out, 2, 7);
    assertEquals(readTensor((await openModel(folder)).get("b")!), new Float32Array([7, 7]));
    assertEquals(list(out), ["step-2"]);
  });
});

Deno.test("discardCheckpoint() leaves nothing of one that could not be completed", async () => {
  await withTempDir(async (out) => {
    await beginCheckpoint(out, checkpoint(1));
    assertEquals(list(out), [".tmp-step-1"]);
    await discardCheckpoint(out, 1);
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

Deno.test("openMoments() names a missing or misshapen moment", async () => {
  await withTempDir(async (out) => {
    const folder = await writeCheckpoint(out, 1);
    const more = new Map([...SHAPES, ["c", [1]]]);
    await assertRejects(() => openMoments(folder, more), UsageError, "tensor exp_avg.c is missing");
    const other = new Map([["w", [4]], ["b", [2]]]);
    await assertRejects(
      () => openMoments(folder, other),
      UsageError,
      "exp_avg.w has shape [2, 2], expected is [4]",
    );
  });
});
