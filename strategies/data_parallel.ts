import type { Pending, ProcessGroup } from "../collectives/mod.ts";
import { type Span, subspan } from "../kernels/mod.ts";
import type { Parameter } from "../nn/mod.ts";

/** How replicas exchange gradients. */
export interface DataParallelOptions {
  /** Gradients are reduced in blocks of about this size. By default {@link BUCKET_BYTES}. */
  readonly bucketBytes?: number;
  /** By default "auto"; both alternatives give other bits than `ring` only in the last places. */
  readonly algorithm?: "auto" | "ordered" | "ring";
}

/** Small enough that most of a small model's gradients are on their way before the backward pass ends. */
export const BUCKET_BYTES = 512 * 1024;

/** Gradients that are reduced together: neighbours in the gradient block. */
interface Bucket {
  readonly span: Span;
  readonly label: string;
  readonly numParameters: number;
  missing: number;
}

/**
 * Replicas of a model on a group of ranks: every rank holds all parameters and sees its share of the batch; gradients
 * are summed over the group, bucket by bucket, while the backward pass goes on.
 *
 * Cost per step: 2 (n - 1) / n x bytes of the gradients per rank.
 * Source: Li et al., PyTorch Distributed, VLDB 2020, section 3.2 (bucketing, overlap).
 */
export class DataParallel {
  readonly #group: ProcessGroup;
  readonly #algorithm: "auto" | "ordered" | "ring";
  readonly #buckets: readonly Bucket[];
  readonly #bucketOf = new Map<Parameter, Bucket>();
  readonly #pending: Pending[] = [];
  #numStarted = 0;

  /** @param gradients The block that `allocateGradients` returned for these parameters. */
  constructor(
    group: ProcessGroup,
    gradients: { readonly block: Span; readonly parameters: readonly Parameter[] },
    options: DataParallelOptions = {},
  ) {
    this.#group = group;
    this.#algorithm = options.algorithm ?? "auto";
    const members = groupParameters(gradients.parameters, options.bucketBytes ?? BUCKET_BYTES);
    this.#buckets = members.map((parameters) => makeBucket(gradients.block, parameters));
    members.forEach((parameters, i) => {
      for (const parameter of parameters) this.#bucketOf.set(parameter, this.#buckets[i]);
    });
  }

  /** Number of all-reduces per step. */
  get numBuckets(): number {
    return this.#buckets.length;
  }

  /**
   * For the tape's `onGradReady`, in the last micro-batch of a step: announces a bucket when it is complete, and goes on
   * with those announced before. Never waits for a peer.
   */
  readonly onGradReady = (parameter: Parameter): void => {
    const bucket = this.#bucketOf.get(parameter);
    if (bucket === undefined) return;
    bucket.missing--;
    if (this.#startComplete() === 0) this.#group.progress();
  };

  /**
   * Returns when all gradients are summed over the group. Buckets with parameters that no op of this step used (their
   * gradients are zero here) are reduced all the same, so ranks may use different parameters.
   */
  finish(): void {
    for (const bucket of this.#buckets) bucket.missing = 0;
    this.#startComplete();
    for (const bucket of this.#buckets) bucket.missing = bucket.numParameters;
    this.#numStarted = 0;
    for (const pending of this.#pending.splice(0)) pending.wait();
  }

  /** Announces complete buckets, in order: all ranks announce the same sequence whatever their models used. */
  #startComplete(): number {
    const before = this.#numStarted;
    while (this.#buckets[this.#numStarted]?.missing === 0) {
      const { span, label } = this.#buckets[this.#numStarted++];
      this.#pending.push(this.#group.startAllReduce(span, { algorithm: this.#algorithm, label }));
    }
    return this.#numStarted - before;
  }
}

/** Splits parameters, last first as their gradients lie, into runs of about `bucketBytes`. */
function groupParameters(parameters: readonly Parameter[], bucketBytes: number): Parameter[][] {
  const buckets: Parameter[][] = [];
  let bytes = Infinity;
  for (const parameter of parameters.toReversed()) {
    if (bytes >= bucketBytes) {
      buckets.push([]);
      bytes = 0;
    }
    buckets.at(-1)!.push(parameter);
    bytes += 4 * parameter.span.length;
  }
  return buckets;
}

function makeBucket(block: Span, parameters: readonly Parameter[]): Bucket {
  const first = parameters[0].gradient, last = parameters.at(-1)!.gradient;
  const start = (first.byteOffset - block.byteOffset) / 4;
  const end = (last.byteOffset - block.byteOffset) / 4 + last.length;
  const numParameters = parameters.length;
  const label = `gradients of ${parameters[0].name} .. ${parameters.at(-1)!.name}`;
  return { span: subspan(block, start, end - start), label, numParameters, missing: numParameters };
}
