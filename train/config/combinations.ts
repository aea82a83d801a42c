import { UsageError } from "../../files/mod.ts";
import { checkExact, exactMicroBatches } from "./exact_rules.ts";
import { checkKernels, type GraphSpread } from "./kernel_rules.ts";

/** How a run is spread over devices: part of a configuration. */
export interface Spread extends GraphSpread {
  /** Sequences of a step, over all devices. */
  readonly batch: number;
  /** Sequences of one forward pass of a device. */
  readonly microBatch: number;
  /** Experts of a token. */
  readonly topKExperts: number;
}

/** Micro-batches of a step: as many on every rank of the data axis, so that all run the same schedule. */
export function countMicroBatches(
  { batch, dp, ep, microBatch, numerics }: Pick<Spread, "batch" | "dp" | "ep" | "microBatch" | "numerics">,
): number {
  const wanted = Math.ceil(Math.ceil(batch / (dp * ep)) / microBatch);
  return numerics === "exact" ? exactMicroBatches(wanted) : wanted;
}

/**
 * Refuses strategies that cannot be combined, each with its reason.
 *
 * @throws {UsageError} Says what does not go together, and what to do.
 */
export function checkCombination(config: Spread): void {
  const { batch, dp, ep, cp, tp, sp, pp, zero, schedule, recompute, microBatch, experts, topKExperts } =
    config;
  if (ep > 1 && experts === 0) {
    throw new UsageError(`Cannot use --ep ${ep} without --experts: there is nothing to share out`);
  }
  if (experts > 0 && cp > 1 && 8 % cp !== 0) {
    throw new UsageError(
      `Cannot use --cp ${cp} with --experts: tokens are routed by eighths of a sequence; use --cp 2, 4 or 8`,
    );
  }
  if (experts > 0 && topKExperts > experts) {
    throw new UsageError(
      `Cannot use --top-k-experts ${topKExperts}: there are ${experts} experts; use ${experts} or less`,
    );
  }
  if (sp && tp === 1) {
    throw new UsageError("Cannot use --sp without --tp: there is no group to share rows with");
  }
  if (pp > 1 && schedule === "zero-bubble" && zero >= 2 && recompute !== "none") {
    throw new UsageError(
      `Cannot use --schedule zero-bubble with --zero ${zero} and --recompute ${recompute}: gradients of recomputed layers ` +
        `come early, when --zero ${zero} has no room for them; use --recompute none, --zero 0 or 1, or another schedule`,
    );
  }
  if (config.kernels !== "auto") checkKernels(config);
  checkExact(config);
  const numMicroBatches = countMicroBatches(config);
  if (zero >= 2 && Math.floor(batch / numMicroBatches) < dp * ep) {
    throw new UsageError(
      `Cannot use --zero ${zero} with --batch ${batch}, --dp ${dp} and --micro-batch ${microBatch}: a device would have no ` +
        `sequence in some of the ${numMicroBatches} micro-batches; use a --batch that is a multiple of ${
          dp * microBatch
        }`,
    );
  }
  if (pp > 1 && schedule === "interleaved" && numMicroBatches % pp !== 0) {
    throw new UsageError(
      `Cannot use --schedule interleaved with ${numMicroBatches} micro-batches: their number must be a multiple of ` +
        `--pp ${pp}; change --batch or --micro-batch`,
    );
  }
}
