/**
 * ZeRO: what the n ranks of the data axis share out, in place of n copies of everything.
 *
 * | stage | policy      | paper    | optimizer state | gradients | parameters | bytes per parameter | moved per step |
 * |-------|-------------|----------|-----------------|-----------|------------|---------------------|----------------|
 * | 0     | `REPLICATE` | baseline | whole           | whole     | whole      | 4 + 4 + 8           | 2 P (n-1)/n    |
 * | 1     | `P_OS`      | P_os     | chunk           | whole     | whole      | 4 + 4 + 8/n         | 2 P (n-1)/n    |
 * | 2     | `P_OS_G`    | P_os+g   | chunk           | chunk     | whole      | 4 + (4 + 8)/n       | 2 P (n-1)/n    |
 * | 3     | `P_OS_G_P`  | P_os+g+p | chunk           | chunk     | chunk      | (4 + 4 + 8)/n       | 3 P (n-1)/n    |
 *
 * Bytes are those of float32 with the two moments of AdamW (the paper's Psi, 2 + 2 + K in mixed precision); what is kept as
 * a chunk is computed on in a few staging buffers more. P is the bytes of all parameters, moved per rank and step of one
 * micro-batch; of m, stages 2 and 3 reduce (and 3 gathers) m times.
 *
 * Source: Rajbhandari et al., ZeRO, SC 2020, section 5 (what is partitioned) and section 7 (what it moves).
 *
 * @module
 */
import type { Pending } from "../../collectives/mod.ts";
import { type Span, subspan } from "../../kernels/mod.ts";
import type { Bucket } from "./bucket.ts";

/** The paper's stages, as users count them: places in {@link ZERO_STAGES}. */
export type ZeroStage = 0 | 1 | 2 | 3;

/** What the ranks of the data axis have n copies of. */
export type ModelState = "optimizer state" | "gradients" | "parameters";

/**
 * What of a bucket a rank holds, and what the ranks of its group exchange so that each computes as if it held all.
 *
 * All spans are the rank's own; where nothing is staged, a chunk is a part of the whole.
 */
export class ZeroPolicy {
  /** The paper's name. */
  readonly name: string;
  /** P_os: a rank updates its chunk of each bucket, and has the optimizer state of that chunk only. */
  readonly shardsOptimizer: boolean;
  /** P_g: a rank keeps its chunk of the gradients; those of a pass are reduced at once and their buffer is used again. */
  readonly shardsGradients: boolean;
  /** P_p: a rank keeps its chunk of the values; a layer is gathered before each of its passes. */
  readonly shardsParameters: boolean;

  /** Shards these, and replicates the others. */
  constructor(name: string, sharded: readonly ModelState[]) {
    this.name = name;
    this.shardsOptimizer = sharded.includes("optimizer state");
    this.shardsGradients = sharded.includes("gradients");
    this.shardsParameters = sharded.includes("parameters");
  }

  /** Whether values must be made whole after an update: each rank has updated its chunk of what all of them keep. */
  get gathersUpdates(): boolean {
    return this.shardsOptimizer && !this.shardsParameters;
  }

  /** Announces the sum over the group of what a pass has added to `gradients`; it comes to lie at {@link reduced}. */
  startReduction(bucket: Bucket, label: string): Pending {
    const { group, gradients } = bucket;
    if (!this.shardsOptimizer) return group.startAllReduce(gradients, { label });
    return group.startReduceScatter(gradients, this.reduced(bucket), { label });
  }

  /** Where {@link startReduction} leaves the sum: all of it, or the chunk that this rank updates. */
  reduced({ gradients, chunk }: Bucket): Span {
    return this.shardsOptimizer ? subspan(gradients, chunk.start, chunk.length) : gradients;
  }

  /** Where the gradients of a step are added up; zero when it begins. */
  accumulated({ gradients, ownGradients }: Bucket): Span {
    return this.shardsGradients ? ownGradients : gradients;
  }

  /** What the optimizer reads: the sum of a step over the group, when all reductions are complete. */
  summed({ gradients, ownGradients }: Bucket): Span {
    return this.shardsOptimizer ? ownGradients : gradients;
  }
}

/** Every rank holds all: plain data parallelism, the paper's baseline. */
export const REPLICATE = new ZeroPolicy("baseline", []);
/** Section 5.1: optimizer state partitioning. */
export const P_OS = new ZeroPolicy("P_os", ["optimizer state"]);
/** Section 5.2: gradient partitioning, too. */
export const P_OS_G = new ZeroPolicy("P_os+g", ["optimizer state", "gradients"]);
/** Section 5.3: parameter partitioning, too. */
export const P_OS_G_P = new ZeroPolicy("P_os+g+p", ["optimizer state", "gradients", "parameters"]);

/** The policy of a stage. */
export const ZERO_STAGES: Readonly<Record<ZeroStage, ZeroPolicy>> = [REPLICATE, P_OS, P_OS_G, P_OS_G_P];
