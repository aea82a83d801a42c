import { createHash } from "node:crypto";
import { assertEquals, assertThrows } from "@std/assert";
import { encodeRecord, LossHash, MetricsLog, type MetricsRecord, Throughput } from "../../train/metrics.ts";
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

Deno.test("LossHash hashes the float32 bits of the losses in order", () => {
  const losses = [5.568569753774647, 1 / 3, 0.1];
  const bytes = new Uint8Array(new Float32Array(losses).buffer);
  const expected = createHash("sha256").update(bytes).digest("hex");
  const hash = new LossHash();
  for (const loss of losses) hash.add(loss);
  assertEquals(hash.digest(), expected);
  const resumed = new LossHash(losses.slice(0, 2));
  resumed.digest();
  resumed.add(losses[2]);
  assertEquals(resumed.digest(), expected);
  assertEquals(new LossHash().digest(), createHash("sha256").digest("hex"));
});

Deno.test("Throughput leaves out the first tenth of the steps", () => {
  const throughput = new Throughput();
  assertEquals(throughput.tokensPerSecond(), 0);
  throughput.add(100, 1000);
  assertEquals(throughput.tokensPerSecond(), 100);
  for (let i = 1; i < 20; i++) throughput.add(100, i < 2 ? 1000 : i < 4 ? 500 : 50);
  // Steps 2 to 19: two of 500 ms, sixteen of 50 ms.
  assertEquals(throughput.tokensPerSecond(), 1000);
});

Deno.test("MetricsLog writes records as JSON lines and can go on behind them", async () => {
  await withTempDir((folder) => {
    const path = `${folder}/log.jsonl`;
    Deno.writeTextFileSync(path, "old\n");
    {
      using log = new MetricsLog(path);
      log.write(STEP);
    }
    {
      using log = new MetricsLog(path, { append: true });
      log.write(DONE);
    }
    assertEquals(Deno.readTextFileSync(path), `${encodeRecord(STEP)}\n${encodeRecord(DONE)}\n`);
    assertEquals(JSON.parse(encodeRecord(STEP)), STEP);
    assertThrows(() => new MetricsLog(`${folder}/no/log`), UsageError, "its folder does not exist");
  });
});
