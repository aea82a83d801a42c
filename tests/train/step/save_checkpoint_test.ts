import { assertEquals, assertRejects } from "@std/assert";
import type { DeviceView } from "../../../actors/mod.ts";
import { TensorWriter } from "../../../files/mod.ts";
import { type CheckpointTensors } from "../../../checkpoint/mod.ts";
import { prepareTraining, saveCheckpoint } from "../../../train/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { tinyGpt } from "../support/runs.ts";

/** The first of one rank. */
const DEVICE = { rank: 0, enter() {}, group: () => ({ barrier() {} }) } as unknown as DeviceView;

Deno.test("saveCheckpoint() leaves nothing of a checkpoint that a rank could not write, and the next one is whole", () =>
  withTempDir(async (folder) => {
    const out = `${folder}/out`,
      { job } = await prepareTraining({ ...await tinyGpt(folder), mesh: { dp: 1 }, out });
    const names = () => [...Deno.readDirSync(out)].map(({ name }) => name);
    const failing = { writeTensors: () => Promise.reject(new Error("no space left on device")) };
    const progress = { step: 2, losses: [3, 2], samples: 8 };
    await assertRejects(() => saveCheckpoint(DEVICE, failing, job, progress), Error, "no space left");
    assertEquals(names(), []);
    let numWritten = 0;
    const writing = {
      writeTensors: async ({ weights, m, v }: CheckpointTensors) => {
        using writer = new TensorWriter();
        for (const index of [weights, m, v]) {
          for (const tensor of index.values()) writer.write(tensor, 0, new Float32Array(1));
        }
        await Promise.resolve(numWritten = weights.size + m.size + v.size);
      },
    };
    assertEquals(await saveCheckpoint(DEVICE, writing, job, progress), `${out}/step-2`);
    assertEquals([names(), numWritten], [["step-2"], 3 * job.saved!.weights.size]);
  }));
