import { openSource } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";
import { encodeRecord, prepareTraining, startTraining, type TrainOptions } from "../train/mod.ts";
import { parseArguments } from "./arguments.ts";
import { chooseModel } from "./generate.ts";

const HELP = `Says the loss of a model on all tokens of a file; nothing is trained or written.

Usage: evaluate DIR --data FILE [OPTIONS]      DIR: a checkpoint, a folder of runs, or a Hugging Face directory

  --data FILE                  text, read by the model's tokenizer, or tokens (.bin, .npy)
  --samples N                  sequences at most, from the start of the file [all]
  --context N                  tokens of a sequence [those of the model]
  --order sequential           the order of the sequences: there is no other
  --dtype uint16|uint32        of a .bin without a header [uint16]
  --adapter DIR                of the model, in the form of PEFT's
  --dp N, --batch N            devices, and sequences of a pass of all of them
  --json                       print one JSON line: loss, perplexity, tokens`;

/** The command `evaluate`. */
export async function evaluateData(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["data", "samples", "context", "order", "dtype", "adapter", "dp", "batch"],
    flags: ["json"],
    positionals: ["DIR"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const { samples, order = "sequential", json, data, ...given } = options;
  if (positionals[0] === undefined) throw new UsageError("Cannot evaluate without a model: give its DIR");
  if (typeof data !== "string") throw new UsageError("Cannot evaluate without --data FILE: say on what");
  if (order !== "sequential") {
    throw new UsageError(
      `Cannot use --order ${order}: a file is evaluated from its start; leave the option out`,
    );
  }
  const init = await chooseModel(positionals[0]);
  return await report({
    ...{ ...given, init, data, order, json: json === true, evalOnly: true, evalAll: true },
    ...(samples === undefined ? {} : { evalSamples: samples }),
  } as TrainOptions);
}

/** The command `train --eval-only`: the loss of a model on data; nothing is trained or written. */
export async function evaluateModel(options: TrainOptions): Promise<number> {
  const { prepared, numTokens } = await prepareEvaluation(options), { config } = prepared.job;
  if (!config.json) console.log(prepared.statement);
  for await (const event of (await startTraining(prepared)).events()) {
    if (event.type === "notice") console.error(event.message);
    if (event.type === "eval") {
      console.log(config.json ? encodeRecord(event) : describe(event.loss, numTokens));
    }
  }
  return 0;
}

async function report(options: TrainOptions): Promise<number> {
  const { prepared, numTokens } = await prepareEvaluation(options);
  for await (const event of (await startTraining(prepared)).events()) {
    if (event.type === "notice") console.error(event.message);
    if (event.type !== "eval") continue;
    const { loss } = event, record = { loss, perplexity: Math.exp(loss), tokens: numTokens };
    console.log(prepared.job.config.json ? JSON.stringify(record) : describe(loss, numTokens));
  }
  return 0;
}

async function prepareEvaluation(options: TrainOptions) {
  const prepared = await prepareTraining(options), { config, data } = prepared.job;
  return { prepared, numTokens: openSource(data, config).countEvaluationTargets() };
}

function describe(loss: number, numTokens: number): string {
  const tokens = numTokens.toLocaleString("en-US"), perplexity = Math.exp(loss).toFixed(2);
  return `loss ${loss.toFixed(4)} over ${tokens} tokens, perplexity ${perplexity}`;
}
