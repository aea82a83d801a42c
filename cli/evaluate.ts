import { openSource } from "../data/mod.ts";
import { encodeRecord, prepareTraining, startTraining, type TrainOptions } from "../train/mod.ts";

/** The command `train --eval-only`: the loss of a model on data; nothing is trained or written. */
export async function evaluateModel(options: TrainOptions): Promise<number> {
  const prepared = await prepareTraining(options), { config, data } = prepared.job;
  const numTokens = openSource(data, config).countEvaluationTargets().toLocaleString("en-US");
  if (!config.json) console.log(prepared.statement);
  const training = await startTraining(prepared);
  for await (const event of training.events()) {
    if (event.type === "notice") console.error(event.message);
    if (event.type !== "eval") continue;
    const line = `loss ${event.loss.toFixed(4)} over ${numTokens} tokens, perplexity ${
      Math.exp(event.loss).toFixed(2)
    }`;
    console.log(config.json ? encodeRecord(event) : line);
  }
  await training.result;
  return 0;
}
