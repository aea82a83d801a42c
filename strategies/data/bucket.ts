import type { Group, Pending } from "../../collectives/mod.ts";
import { type Span, subspan } from "../../kernels/mod.ts";
import type { Parameter } from "../../nn/mod.ts";
import type { BucketPlan } from "./buckets.ts";
import type { GradientFold } from "./gradient_fold.ts";

/** A run of elements of one parameter. */
export interface StoredPiece {
  /** The parameter; where values are sharded, its span holds others at other times. */
  readonly parameter: Parameter;
  /** First element, counted from the start of the device's part of the parameter. */
  readonly start: number;
  /** Where the values lie. */
  readonly values: Span;
}

/** The same, as checkpoints have it. */
export interface SavedPiece extends StoredPiece {
  /** Whether this rank is the one that contributes it to a checkpoint. */
  readonly isSaved: boolean;
}

/** A run of elements that this rank updates. */
export interface Piece extends SavedPiece {
  /** Where the summed gradient lies when the passes of a step are done. */
  readonly gradient: Span;
}

/** A bucket with its memory. */
export interface Bucket {
  /** Ranks that share it out. */
  readonly group: Group;
  /** Which parameters it holds, and where. */
  readonly plan: BucketPlan;
  /** Those that were built on this device, in the order of the plan. */
  readonly parameters: Parameter[];
  /** All values: resident, or a staging buffer where they are sharded. */
  readonly values: Span;
  /** All gradients: resident, or a staging buffer where they are sharded. */
  readonly gradients: Span;
  /** This rank's chunk; what it updates where the optimizer is sharded. */
  readonly chunk: { readonly start: number; readonly length: number };
  /** This rank's chunk of the values; part of `values` unless that is a staging buffer. */
  readonly ownValues: Span;
  /** This rank's chunk of the gradients; part of `gradients` unless that is a staging buffer. */
  readonly ownGradients: Span;
  /** Fills the staging buffer of the values. */
  gather: Pending | undefined;
  /** Sums the gradients over the group. */
  reduction: Pending | undefined;
  /** The gradients of this step are sums over the group already. */
  isReduced: boolean;
  /** Sums those of micro-batches in exact numerics, where there are several. */
  readonly fold: GradientFold | undefined;
}

/**
 * The parameters of a bucket, or of this rank's chunk of it, as runs of elements with their values.
 *
 * @param isChunk Must be true where values are sharded.
 */
export function storedPieces(bucket: Bucket, isChunk: boolean): StoredPiece[] {
  const { chunk, values, ownValues } = bucket;
  return runsOf(bucket, isChunk).map(({ parameter, start, place, length }) => ({
    parameter,
    start,
    values: isChunk ? subspan(ownValues, place - chunk.start, length) : subspan(values, place, length),
  }));
}

/** The same, with who saves them: of what all ranks hold, the first one. */
export function savedPieces(bucket: Bucket, isChunk: boolean): SavedPiece[] {
  const isSaved = isChunk || bucket.group.index === 0;
  return storedPieces(bucket, isChunk).map((piece) => ({ ...piece, isSaved }));
}

/**
 * The same with their gradients.
 *
 * @param isChunk Must be true where values or gradients are sharded.
 */
export function updatedPieces(bucket: Bucket, isChunk: boolean): Piece[] {
  const { chunk, gradients, ownGradients } = bucket, saved = savedPieces(bucket, isChunk);
  return runsOf(bucket, isChunk).map(({ place, length }, i) => ({
    ...saved[i],
    gradient: isChunk
      ? subspan(ownGradients, place - chunk.start, length)
      : subspan(gradients, place, length),
  }));
}

/** Where each parameter of a bucket, or its part in this rank's chunk, begins in the parameter and in the bucket. */
function runsOf({ plan, chunk, parameters }: Bucket, isChunk: boolean) {
  const range = isChunk ? chunk : { start: 0, length: plan.length };
  return parameters.flatMap((parameter, i) => {
    const { offset, length } = plan.entries[i];
    const place = Math.max(offset, range.start), end = Math.min(offset + length, range.start + range.length);
    return place >= end ? [] : [{ parameter, start: place - offset, place, length: end - place }];
  });
}

/** Whether the bucket only holds gradients of its own, of a further use of another bucket's parameter. */
export function isFurtherUse({ plan }: Bucket): boolean {
  return plan.furtherUseOf !== undefined;
}

/** Where a parameter of a bucket lies. */
export interface ParameterPlace {
  /** Its bucket. */
  readonly bucket: Bucket;
  /** In the values of the bucket. */
  readonly values: Span;
  /** Undefined if it is frozen. */
  readonly gradients: Span | undefined;
}

/** Where the values and gradients of each parameter lie, by name. */
export function placesOf(buckets: readonly Bucket[]): Map<string, ParameterPlace> {
  const own = buckets.filter((bucket) => !isFurtherUse(bucket));
  return new Map(own.flatMap((bucket) =>
    bucket.plan.entries.map(({ name, offset, length }) => {
      const place = (span: Span) => subspan(span, offset, length);
      const gradients = bucket.plan.isFrozen ? undefined : place(bucket.gradients);
      return [name, { bucket, values: place(bucket.values), gradients }];
    })
  ));
}
