/**
 * The program that every rank of a training run executes: build, load, and the step loop.
 *
 * @module
 */
import type { Device } from "../actors/mod.ts";
import { now } from "../kernels/mod.ts";
import { clipFactor } from "../nn/mod.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { learningRate } from "./config.ts";
import { StepExchange } from "./exchange.ts";
import type { TrainEvent, TrainJob, TrainResult } from "./job.ts";
import { Replica } from "./replica.ts";
import { openSource } from "./source.ts";

/** Trains from `job.start.step` to `config.steps`, or until the user asks to stop. */
export default async function trainProgram(device: Device, job: TrainJob): Promise<TrainResult> {
  const { config, start, snapshot } = job, isFirst = device.rank === 0;
  const source = openSource(job.data, config);
  using replica = await Replica.build(device, job, source);
  const exchange = new StepExchange(device), losses = [...start.losses];
  const report = (event: TrainEvent) => isFirst ? device.report(event) : undefined;
  let step = start.step, isStopped = false, checkpoint: string | undefined;
  const end = job.until ?? config.steps;

  while (step < end && !isStopped) {
    const startMs = now(), tokens = source.countTargets(step), numTargets = Math.max(1, tokens);
    exchange.start();
    const lossSum = await replica.accumulate(step, 1 / numTargets);

    device.enter(step, "reduce");
    replica.reduce();

    device.enter(step, "update");
    const lr = learningRate(step, config), gradNorm = replica.gradientNorm();
    await replica.update(step + 1, lr, clipFactor(gradNorm, config.gradClip));

    device.enter(step, "exchange");
    const summary = exchange.finish(lossSum, replica),
      loss = summary.lossSum / numTargets,
      stepMs = now() - startMs;
    checkFinite(step, loss, gradNorm);
    losses.push(Math.fround(loss));
    isStopped = summary.isStopRequested;
    const speed = { tokens, tokensPerSecond: tokens / stepMs * 1000, stepMs };
    const mixture = config.experts > 0 ? { droppedChoices: summary.droppedChoices } : {};
    await report({ type: "step", step, loss, gradNorm, lr, ...speed, ...mixture, devices: summary.devices });

    step++;
    if (isDue(config.checkReplicas, step, false)) await replica.checkReplicas(step);
    const isLast = step === end || isStopped;
    if (source.numEvaluation > 0 && isDue(config.evalEvery, step, isLast && config.evalEvery > 0)) {
      device.enter(step, "evaluation");
      const { lossSum } = exchange.finish(await replica.evaluate());
      await report({ type: "eval", step, loss: lossSum / source.countEvaluationTargets() });
    }
    if (snapshot !== undefined && isDue(config.saveEvery, step, isLast)) {
      device.enter(step, "checkpoint");
      await replica.writeSnapshot(snapshot);
      if (!isFirst) continue;
      checkpoint = await saveCheckpoint(config.out!, { job, snapshot, step, losses });
      await report({ type: "checkpoint", step, path: checkpoint });
    }
  }
  return { step, isStopped, checkpoint };
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
