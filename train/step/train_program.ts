/**
 * The program that every rank of a training run executes: build, load, and the step loop.
 *
 * @module
 */
import type { Device } from "../../actors/mod.ts";
import { firstSample, openSource } from "../../data/mod.ts";
import { now } from "../../kernels/mod.ts";
import { clipFactor } from "../../nn/mod.ts";
import { learningRate, type TrainJob, type TrainResult } from "../config/mod.ts";
import { evaluate, orderOf } from "./evaluate_program.ts";
import { StepExchange } from "./exchange.ts";
import type { CheckpointEvent } from "./events.ts";
import { LossScale } from "./loss_scale.ts";
import type { EvalRecord, StepRecord } from "./metrics.ts";
import { Replica } from "./replica.ts";
import { saveCheckpoint } from "./save_checkpoint.ts";

/** Trains from `job.start.step` to `config.steps`, or until the user asks to stop. */
export default async function trainProgram(device: Device, job: TrainJob): Promise<TrainResult> {
  const { config, start, saved } = job, isFirst = device.rank === 0, losses = [...start.losses];
  const order = orderOf(job), lossScale = new LossScale(config.lossScale, start.lossScale);
  using source = openSource(job.data, order), replica = await Replica.build(device, job, source);
  const exchange = new StepExchange(device), end = job.until ?? config.steps;
  const report = (event: RankEvent) => isFirst ? reportFrom(device, event) : undefined;
  let step = start.step, isStopped = false, checkpoint: string | undefined;

  while (step < end && !isStopped) {
    exchange.start();
    const startMs = now(), tokens = source.countTargets(step), numTargets = Math.max(1, tokens);
    const lossSum = await replica.accumulate(step, lossScale.begin() / numTargets);

    device.enter(step, "reduce");
    replica.reduce();

    device.enter(step, "update");
    const lr = learningRate(step, config), gradNorm = replica.gradientNorm() / lossScale.scale;
    const isMade = lossScale.accepts(gradNorm), clip = clipFactor(gradNorm, config.gradClip);
    if (isMade) await replica.update(lossScale.updateOf(step), lr, clip / lossScale.scale);

    device.enter(step, "exchange");
    const { devices, ...summary } = exchange.finish(lossSum, replica);
    const loss = summary.lossSum / numTargets, stepMs = now() - startMs;
    checkFinite(step, loss, isMade ? gradNorm : 0);
    losses.push(Math.fround(loss));
    isStopped = summary.isStopRequested;
    const speed = { tokens, tokensPerSecond: tokens / stepMs * 1000, stepMs };
    const { droppedChoices } = summary, mixture = config.experts > 0 ? { droppedChoices } : {};
    const figures = { loss, gradNorm, lr, ...speed, ...mixture, ...lossScale.figures };
    await report({ type: "step", step, ...figures, devices });

    step++;
    if (isDue(config.checkReplicas, step, false)) await replica.checkReplicas(step);
    const isLast = step === end || isStopped;
    if (source.numEvaluation > 0 && isDue(config.evalEvery, step, isLast && config.evalEvery > 0)) {
      await report({ type: "eval", step, loss: await evaluate(device, step, { replica, exchange, source }) });
    }
    if (saved !== undefined && isDue(config.saveEvery, step, isLast)) {
      const samples = firstSample(step, order),
        reached = { step, losses, samples, lossScale: lossScale.state };
      checkpoint = await saveCheckpoint(device, replica, job, { ...reached, previous: checkpoint });
      await report({ type: "checkpoint", step, path: checkpoint! });
    }
  }
  return { step, isStopped, checkpoint };
}

/** What a rank reports. */
type RankEvent = StepRecord | EvalRecord | CheckpointEvent;

/** Reports, and says that it may last: a launcher that is behind holds this rank back. */
async function reportFrom(device: Device, event: RankEvent): Promise<void> {
  device.enter(event.step, "report");
  await device.report(event);
}

/** Every `every` steps (0 = never), and when it must be. */
function isDue(every: number, step: number, isForced: boolean): boolean {
  return isForced || (every > 0 && step % every === 0);
}

function checkFinite(step: number, loss: number, gradNorm: number): void {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
  throw new Error(
    `the loss of step ${step} is ${loss} and the gradient norm ${gradNorm}: training has diverged; ` +
      `nothing was saved after the last checkpoint; try a smaller --lr or a --grad-clip`,
  );
}
