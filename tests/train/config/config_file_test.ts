import { assertEquals, assertRejects } from "@std/assert";
import { prepareTraining, UsageError } from "../../../mod.ts";
import { readConfigFile } from "../../../train/config/config_file.ts";
import { withTempDir } from "../../support/temp_dir.ts";

Deno.test("readConfigFile() completes options with those of a file, in either spelling", () =>
  withTempDir(async (folder) => {
    const config = `${folder}/run.json`,
      write = (json: unknown) => Deno.writeTextFile(config, JSON.stringify(json));
    await write({ layers: 2, "min-lr": 1e-5, layout: "data(2)", sp: false });
    assertEquals(await readConfigFile({ config, layers: "3", "min-lr": "0" }), {
      options: { layers: "3", minLr: "0", layout: "data(2)", sp: false },
      statement: undefined,
    });
    assertEquals((await readConfigFile({ layers: 2 })).options, { layers: 2 });
    const refused: [unknown, string][] = [
      [
        { layer: 2 },
        `Cannot use ${config}: Cannot use option layer: it does not exist; did you mean layers?`,
      ],
      [{ config: "other.json" }, "it does not exist"],
      [{ layers: [2] }, "layers is [2], it must be one value"],
      [[], "it must be an object of options"],
    ];
    for (const [json, message] of refused) {
      await write(json);
      await assertRejects(() => readConfigFile({ config }), UsageError, message);
    }
    await assertRejects(() => readConfigFile({ config: `${folder}/none.json` }), UsageError, "none.json");
  }));

Deno.test("a configuration of DeepSpeed is the options of a run, and what has no effect is said", () =>
  withTempDir(async (folder) => {
    const config = `${folder}/ds.json`;
    const json = {
      ...{ train_batch_size: 8, zero_optimization: { stage: 1, overlap_comm: true }, gradient_clipping: 0.5 },
      optimizer: { type: "AdamW", params: { lr: 1e-3, betas: [0.9, 0.99] } },
    };
    await Deno.writeTextFile(config, JSON.stringify(json));
    const { job, statement } = await prepareTraining({
      config,
      dp: 2,
      layers: 1,
      embed: 16,
      context: 16,
      steps: 2,
    });
    const { batch, zero, gradClip, lr, beta2, dp } = job.config;
    assertEquals([batch, zero, gradClip, lr, beta2, dp], [8, 1, 0.5, 1e-3, 0.99, 2]);
    assertEquals(
      statement.split("\n").includes(`${config}: without effect here are zero_optimization.overlap_comm`),
      true,
    );
  }));
