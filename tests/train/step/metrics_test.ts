import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import { LossHash, Throughput } from "../../../train/step/metrics.ts";

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
