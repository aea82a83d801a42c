/**
 * The program that every rank of a training run executes: build, load, and the step loop.
 *
 * @module
 */
import type { Device } from "../actors/mod.ts";
import { now } from "../kernels/mod.ts";
import { clipFactor, gradientNorm } from "../nn/mod.ts";
import { shareOf } from "../strategies/mod.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { learningRate, type TrainConfig } from "./config.ts";
import { StepExchange } from "./exchange.ts";
import type { TrainEvent, TrainJob, TrainResult } from "./job.ts";
import { Replica } from "./replica.ts";
import { sampleTokens } from "./sample.ts";
import { MASKED, openSource, type Source } from "./source.ts";

/** Trains from `job.start.step` to `config.steps`, or until the user asks to stop. */
export default async function trainProgram(device: Device, job: TrainJob): Promise<TrainResult> {
  const { config, start } = job, dp = device.group("dp"), isFirst = device.rank === 0;
  const source = openSource(job.data, config);
  const replica = await Replica.build(device, job, source);
  const exchange = new StepExchange(device), losses = [...start.losses];
  const report = (event: TrainEvent) => isFirst ? device.report(event) : undefined;
  const share = shareOf(config.batch, dp.size, dp.index), { optimizer, dataParallel } = replica;
  let step = start.step, isStopped = false, saved: string | undefined;

  while (step < config.steps && !isStopped) {
    const startMs = now(), numTargets = source.countTargets(step);
    exchange.start();
    replica.clearGradients();
    let lossSum = 0;
    for (let first = share.start; first < share.end; first += config.microBatch) {
      const size = Math.min(config.microBatch, share.end - first), micro = replica.microBatch(size);
      const views = replica.views(micro);
      for (let i = 0; i < size; i++) source.readTraining(step, first + i, i, views);
      micro.loss.scale = 1 / Math.max(1, numTargets);

      device.enter(step, "forward");
      micro.tape.forward();
      lossSum += replica.lossOf(micro);

      device.enter(step, "backward");
      micro.tape.onGradReady = first + size >= share.end ? dataParallel.onGradReady : undefined;
      micro.tape.backward();
    }
    device.enter(step, "reduce");
    dataParallel.finish();

    device.enter(step, "update");
    const lr = learningRate(step, config), gradNorm = gradientNorm(replica.backend, replica.parameters);
    optimizer.update(step + 1, lr, clipFactor(gradNorm, config.gradClip));

    device.enter(step, "exchange");
    const summary = exchange.finish(lossSum), loss = summary.lossSum / Math.max(1, numTargets);
    checkFinite(step, loss, gradNorm);
    losses.push(Math.fround(loss));
    isStopped = summary.isStopRequested;
    const stepMs = now() - startMs, tokensPerSecond = numTargets / stepMs * 1000;
    const { devices } = summary;
    await report({
      type: "step",
      step,
      loss,
      gradNorm,
      lr,
      tokens: numTargets,
      tokensPerSecond,
      stepMs,
      devices,
    });

    step++;
    const isLast = step === config.steps || isStopped;
    if (source.numEvaluation > 0 && isDue(config.evalEvery, step, isLast && config.evalEvery > 0)) {
      device.enter(step, "evaluation");
      await report({ type: "eval", step, loss: evaluate({ device, replica, source, exchange, config }) });
    }
    if (config.out !== undefined && isDue(config.saveEvery, step, isLast)) {
      device.enter(step, "checkpoint");
      saved = isFirst ? await saveCheckpoint(config.out, { job, replica, step, losses }) : undefined;
      if (saved !== undefined) await report({ type: "checkpoint", step, path: saved });
    }
  }
  const isWriting = isFirst && !isStopped && job.sample !== undefined;
  const sample = isWriting ? sampleTokens(replica.backend, replica.model, job.sample!) : undefined;
  return { step, isStopped, checkpoint: saved, sample };
}

/** Every `every` steps (0 = never), and when it must be. */
function isDue(every: number, step: number, isForced: boolean): boolean {
  return isForced || (every > 0 && step % every === 0);
}

interface Evaluation {
  readonly device: Device;
  readonly replica: Replica;
  readonly source: Source;
  readonly exchange: StepExchange;
  readonly config: TrainConfig;
}

/** Mean validation loss; the ranks share the samples. Runs the recorded training pass: no further memory. */
function evaluate({ device, replica, source, exchange, config }: Evaluation): number {
  const dp = device.group("dp"), share = shareOf(source.numEvaluation, dp.size, dp.index);
  const micro = replica.microBatch(config.microBatch), views = replica.views(micro);
  let sum = 0;
  for (let first = share.start; first < share.end; first += micro.size) {
    views.targets.fill(MASKED);
    for (let i = 0; i < Math.min(micro.size, share.end - first); i++) {
      source.readEvaluation(first + i, i, views);
    }
    micro.tape.forward();
    sum += replica.lossOf(micro);
  }
  return exchange.finish(sum).lossSum / source.countEvaluationTargets();
}

function checkFinite(step: number, loss: number, gradNorm: number): void {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
  throw new Error(
    `the loss of step ${step} is ${loss} and the gradient norm ${gradNorm}: training has diverged; ` +
      `nothing was saved after the last checkpoint; try a smaller --lr or a --grad-clip`,
  );
}
