import { MASKED, type Source } from "../../data/mod.ts";
import { bisectionShare, shareOf } from "../../strategies/mod.ts";
import { meshOf, type TrainConfig } from "../config/mod.ts";
import type { RecordedPass, TrainStage } from "../stage/mod.ts";

/** Which of the ranks with sequences of their own a rank is. */
export interface Sampler {
  /** How many there are. */
  readonly size: number;
  /** From 0. */
  readonly index: number;
}

/** Ranks along the data and the expert axis have sequences of their own. */
export function samplerOf(rank: number, config: TrainConfig): Sampler {
  const { dp, ep } = meshOf(config).coordinates(rank);
  return { size: config.dp * config.ep, index: dp * config.ep + ep };
}

/** The samples of a micro-batch that a rank sees: first the micro-batches share the batch, then the replicas. */
export function sharesOf(
  { batch, numerics }: Pick<TrainConfig, "batch" | "numerics">,
  { size: dp, index }: Sampler,
  { m, microBatch }: { readonly m: number; readonly microBatch: number },
): { start: number; size: number } {
  if (numerics === "exact") {
    const { start, end } = bisectionShare(batch, m * dp, microBatch * dp + index);
    return { start, size: end - start };
  }
  const whole = shareOf(batch, m, microBatch), share = shareOf(whole.end - whole.start, dp, index);
  return { start: whole.start + share.start, size: share.end - share.start };
}

/** Fills a pass with the samples of a round of evaluation; what is beyond the last one does not count. */
export function fillEvaluation(
  { stage, pass, source }: { stage: TrainStage; pass: RecordedPass; source: Source },
  sampler: Sampler,
  round: number,
): void {
  const { size } = pass, first = (round * sampler.size + sampler.index) * size, count = source.numEvaluation;
  stage.fill(pass, (i, views) => {
    source.readEvaluation(Math.min(first + i, count - 1), i, views);
    const length = views.targets.length / size;
    if (first + i >= count) views.targets.fill(MASKED, i * length, (i + 1) * length);
  });
}
