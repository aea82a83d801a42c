import { type StepRecord, train, type TrainOptions } from "../../mod.ts";

/** Trains, and gives the last step: what examples that compare layouts look at. */
export async function lastStep(options: TrainOptions): Promise<StepRecord> {
  let last: StepRecord | undefined;
  for await (const step of train(options)) last = step;
  return last!;
}
