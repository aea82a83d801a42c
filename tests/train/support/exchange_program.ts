import type { Device } from "../../../actors/mod.ts";
import { StepExchange, type StepSummary } from "../../../train/step/exchange.ts";

/** Two steps; rank 2 allocates between them. */
export default function run(device: Device): StepSummary[] {
  const exchange = new StepExchange(device), summaries: StepSummary[] = [];
  for (let step = 0; step < 2; step++) {
    exchange.start();
    if (step === 1 && device.rank === 2) device.heap.allocate("later", 1000, "activations");
    summaries.push(exchange.finish((device.rank + 1) / 10));
  }
  return summaries;
}
