import { type DataSpec, openSource, type SourceOrder } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";
import { WEIGHT_FORMATS } from "../kernels/mod.ts";
import { scoreTexts, type WeightChoice } from "../serve/mod.ts";
import { encodeRecord, prepareTraining, startTraining, type TrainOptions } from "../train/mod.ts";
import { chooseOption, parseArguments } from "./arguments.ts";
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
  --weights FORMAT             as generate computes with weights in this format: f32, bf16, q8_0, q4_0
  --json                       print one JSON line: loss, perplexity, tokens`;

/** The command `evaluate`. */
export async function evaluateData(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["data", "samples", "context", "order", "dtype", "adapter", "dp", "batch", "weights"],
    flags: ["json"],
    positionals: ["DIR"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const { samples, order = "sequential", json, data, weights: format, ...given } = options;
  const weights = chooseOption("weights", format, ["f32", ...WEIGHT_FORMATS]);
  if (positionals[0] === undefined) throw new UsageError("Cannot evaluate without a model: give its DIR");
  if (typeof data !== "string") throw new UsageError("Cannot evaluate without --data FILE: say on what");
  if (order !== "sequential") {
    throw new UsageError(
      `Cannot use --order ${order}: a file is evaluated from its start; leave the option out`,
    );
  }
  const init = await chooseModel(positionals[0]);
  const all = {
    ...{ ...given, init, data, order, json: json === true, evalOnly: true, evalAll: true },
    ...(samples === undefined ? {} : { evalSamples: samples }),
  } as TrainOptions;
  return weights === undefined ? await report(all) : await reportServed(init, all, weights);
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
    printLoss(event.loss, numTokens, prepared.job.config.json);
  }
  return 0;
}

/** The loss of what generation computes. */
async function reportServed(model: string, options: TrainOptions, weights: WeightChoice): Promise<number> {
  const { job: { config, data } } = await prepareTraining(options), { adapter } = options;
  const scores = await scoreTexts(model, textsOf(data, config), { weights, adapter, dp: config.dp });
  const all = scores.flat(), loss = -all.reduce((sum, score) => sum + score, 0) / all.length;
  printLoss(loss, all.length, config.json);
  return 0;
}

/** The samples of an evaluation as texts, each with its last target. */
function textsOf(data: DataSpec, order: SourceOrder): number[][] {
  using source = openSource(data, order);
  const [length] = source.inputShape, inputs = new Int32Array(length), targets = new Int32Array(length);
  return Array.from({ length: source.numEvaluation }, (_, i) => {
    source.readEvaluation(i, 0, { inputs, targets });
    if (source.hasDocuments || targets.some((target, t) => t + 1 < length && target !== inputs[t + 1])) {
      throw new UsageError("Cannot use --weights with conversations: give a text or tokens, or leave it out");
    }
    return [...inputs, targets[length - 1]];
  });
}

function printLoss(loss: number, tokens: number, isJson: boolean): void {
  const record = { loss, perplexity: Math.exp(loss), tokens };
  console.log(isJson ? JSON.stringify(record) : describe(loss, tokens));
}

async function prepareEvaluation(options: TrainOptions) {
  const prepared = await prepareTraining(options), { config, data } = prepared.job;
  return { prepared, numTokens: openSource(data, config).countEvaluationTargets() };
}

function describe(loss: number, numTokens: number): string {
  const tokens = numTokens.toLocaleString("en-US"), perplexity = Math.exp(loss).toFixed(2);
  return `loss ${loss.toFixed(4)} over ${tokens} tokens, perplexity ${perplexity}`;
}
