import { assertEquals, assertThrows } from "@std/assert";
import { encodeRecord, type MetricsRecord } from "../../train/step/metrics.ts";
import { type LogStart, MetricsLog } from "../../cli/metrics_log.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const STEP: MetricsRecord = {
  type: "step",
  step: 0,
  loss: 5.5,
  gradNorm: 2,
  lr: 1e-3,
  tokens: 768,
  tokensPerSecond: 1000,
  stepMs: 768,
  devices: [{ rank: 0, computeMs: 700, copyMs: 1, waitMs: 67, bytesMoved: 10, peakBytes: 100 }],
};
const DONE: MetricsRecord = { type: "done", steps: 1, tokensPerSecond: 1000, lossHash: "ab" };

/** Writes a log as a run does that begins as `start` says. */
function write(path: string, records: readonly MetricsRecord[], start?: LogStart): void {
  using log = new MetricsLog(path, start);
  log.begin();
  for (const record of records) log.write(record);
}

function read(path: string): string[] {
  return Deno.readTextFileSync(path).split("\n").map((line) => {
    const { type, step = "" } = line === "" ? { type: "" } : JSON.parse(line);
    return `${type}${step}`;
  });
}

const step = (step: number): MetricsRecord => ({ ...STEP, step } as MetricsRecord);
const evaluation = (step: number): MetricsRecord => ({ type: "eval", step, loss: 5 });

Deno.test("MetricsLog writes records as JSON lines", async () => {
  await withTempDir((folder) => {
    const path = `${folder}/log.jsonl`;
    write(path, [STEP, DONE]);
    assertEquals(Deno.readTextFileSync(path), `${encodeRecord(STEP)}\n${encodeRecord(DONE)}\n`);
    assertEquals(JSON.parse(encodeRecord(STEP)), STEP);
    assertThrows(() => new MetricsLog(`${folder}/no/log`), UsageError, "its folder does not exist");
    assertThrows(() => new MetricsLog(folder), UsageError, "it is a directory");
  });
});

Deno.test("MetricsLog keeps the lines of finished steps when a run goes on: no step is there twice", async () => {
  await withTempDir((folder) => {
    const path = `${folder}/log.jsonl`;
    write(path, [step(0), step(1), evaluation(2), step(2), evaluation(3), step(3), DONE]);
    // A line that a crash has cut short.
    Deno.writeTextFileSync(path, `{"type":"st`, { append: true });
    write(path, [step(2), evaluation(3), DONE], { resumedStep: 2 });
    assertEquals(read(path), ["step0", "step1", "eval2", "step2", "eval3", "done", ""]);
    Deno.writeTextFileSync(path, "a diary\nof mine\n");
    assertThrows(() => new MetricsLog(path, { resumedStep: 2 }), UsageError, "line 1 is no record of a run");
    assertEquals(Deno.readTextFileSync(path), "a diary\nof mine\n");
  });
});

Deno.test("MetricsLog does not replace the log of another run unless it is told to", async () => {
  await withTempDir((folder) => {
    const path = `${folder}/log.jsonl`;
    write(path, [step(0), DONE]);
    assertThrows(
      () => new MetricsLog(path),
      UsageError,
      "it has records of another run; choose another --log",
    );
    {
      using _log = new MetricsLog(path, { overwrite: true });
      assertEquals(read(path), ["step0", "done", ""], "nothing is lost before the run begins");
    }
    write(path, [step(0)], { overwrite: true });
    assertEquals(read(path), ["step0", ""]);
  });
});

Deno.test("MetricsLog removes the file that it has made if the run does not begin", async () => {
  await withTempDir((folder) => {
    const path = `${folder}/log.jsonl`;
    using log = new MetricsLog(path);
    log.discard();
    assertEquals([...Deno.readDirSync(folder)], []);
  });
});
