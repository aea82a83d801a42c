import { chunkOf, type Group, type Pending } from "../../collectives/mod.ts";
import { type Backend, type Precision, type Span, subspan } from "../../kernels/mod.ts";
import type { Parameter } from "../../nn/mod.ts";
import type { BucketPlan } from "./buckets.ts";
import { GradientFold } from "./gradient_fold.ts";

/** What the data axis shards: 0 nothing, 1 optimizer state, 2 and gradients, 3 and parameters. */
export type ZeroStage = 0 | 1 | 2 | 3;

/** A run of elements of one parameter. */
export interface StoredPiece {
  /** The parameter; in stage 3 its span holds other values at other times. */
  readonly parameter: Parameter;
  /** First element, counted from the start of the device's part of the parameter. */
  readonly start: number;
  /** Where the values lie. */
  readonly values: Span;
}

/** A run of elements that this rank updates. */
export interface Piece extends StoredPiece {
  /** Where the summed gradient lies when the passes of a step are done. */
  readonly gradient: Span;
  /** Whether this rank is the one that contributes it to a checkpoint. */
  readonly isSaved: boolean;
}

/** A bucket with its memory. */
export interface Bucket {
  /** Ranks that share it out. */
  readonly group: Group;
  /** Which parameters it holds, and where. */
  readonly plan: BucketPlan;
  /** Those that were built on this device, in the order of the plan. */
  readonly parameters: Parameter[];
  /** All values: resident, or (stage 3) a staging buffer. */
  readonly values: Span;
  /** All gradients: resident, or (stages 2 and 3) a staging buffer. */
  readonly gradients: Span;
  /** This rank's chunk; what stages 1 to 3 update. */
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

/** A staging buffer is computed on while the other one is filled, or reduced. */
const NUM_STAGING = 2;

/** Who shares what. */
export interface BucketMemoryOptions {
  /** Computes on the device's heap. */
  readonly backend: Backend;
  /** Ranks that see different data and hold the same parameters (or shards of them). */
  readonly group: Group;
  /** The same of experts; by default `group`. */
  readonly expertGroup?: Group;
  /** What these ranks share out. */
  readonly zeroStage: ZeroStage;
  /** Exact numerics: the number of micro-batches, whose gradients are summed over the group one by one. */
  readonly exact?: { readonly microBatches: number };
  /** Element type of values and gradients; by default f32. */
  readonly precision?: Precision;
}

/** The ranks that share a bucket out. */
export function groupOf(plan: BucketPlan, { group, expertGroup }: BucketMemoryOptions): Group {
  return plan.isExpert ? expertGroup ?? group : group;
}

/** Gives buckets their memory; what stage 2 and 3 keep only chunks of is computed on in staging buffers. */
export function allocateBuckets(plans: readonly BucketPlan[], options: BucketMemoryOptions): Bucket[] {
  const places = { values: placeValues(plans, options), gradients: placeGradients(plans, options) };
  return plans.map((plan, i) => {
    const group = groupOf(plan, options), chunk = chunkOf(plan.length, group.size, group.index);
    const [values, ownValues] = places.values[i], [gradients, ownGradients] = places.gradients[i];
    const state = {
      gather: undefined,
      reduction: undefined,
      isReduced: false,
      fold: foldOf(plan, chunk, options),
    };
    return { plan, group, parameters: [], values, gradients, chunk, ownValues, ownGradients, ...state };
  });
}

function foldOf(
  plan: BucketPlan,
  chunk: { readonly length: number },
  { backend, zeroStage, exact }: BucketMemoryOptions,
): GradientFold | undefined {
  if (exact === undefined || exact.microBatches === 1) return undefined;
  const length = zeroStage === 0 ? plan.length : chunk.length;
  return new GradientFold(backend, { name: `gradients of ${plan.name}`, length, ...exact });
}

/** For each bucket: all of it, and this rank's chunk. */
type Places = [whole: Span, own: Span][];

function placeValues(plans: readonly BucketPlan[], options: BucketMemoryOptions): Places {
  const { backend: { heap }, precision } = options;
  if (options.zeroStage === 3) return staged(plans, options, "parameters", "values");
  const places: Places = [];
  for (const plan of plans) {
    places.push(
      plan.furtherUseOf === undefined
        ? resident(
          heap.allocate(`values of ${plan.name}`, plan.length, "parameters", precision),
          groupOf(plan, options),
        )
        : places[plan.furtherUseOf],
    );
  }
  return places;
}

function placeGradients(plans: readonly BucketPlan[], options: BucketMemoryOptions): Places {
  const { backend, zeroStage, precision } = options, { heap } = backend;
  if (zeroStage < 2) {
    return plans.map((plan) =>
      resident(
        heap.allocate(`gradients of ${plan.name}`, plan.length, "gradients", precision),
        groupOf(plan, options),
      )
    );
  }
  const places = staged(plans, options, "gradients", "gradients");
  // A staging buffer is cleared when it has been reduced; the first time it must be clear from the start.
  if (heap.memory !== undefined) { for (const [whole] of places) backend.fill(0, whole); }
  return places;
}

function resident(whole: Span, group: Group): [Span, Span] {
  const { start, length } = chunkOf(whole.length, group.size, group.index);
  return [whole, subspan(whole, start, length)];
}

function staged(
  plans: readonly BucketPlan[],
  options: BucketMemoryOptions,
  category: "parameters" | "gradients",
  what: string,
): Places {
  const { backend: { heap }, precision } = options;
  const rotation = (isExpert: boolean) => {
    const own = plans.filter((plan) => !plan.isShared && plan.isExpert === isExpert);
    if (own.length === 0) {
      return () => {
        throw new RangeError("no bucket of this kind");
      };
    }
    const largest = Math.max(...own.map((plan) => plan.length)),
      name = `staged ${what}${isExpert ? " of experts" : ""}`;
    const buffers = Array.from(
      { length: NUM_STAGING },
      (_, i) => heap.allocate(`${name} ${i}`, largest, "buffers", precision),
    );
    let turn = 0;
    return (plan: BucketPlan) => subspan(buffers[turn++ % NUM_STAGING], 0, plan.length);
  };
  const layers = rotation(false), experts = rotation(true), places: Places = [];
  for (const plan of plans) {
    const whole = plan.isShared
      ? heap.allocate(`staged ${what} of ${plan.name}`, plan.length, "buffers", precision)
      : (plan.isExpert ? experts : layers)(plan);
    const { size, index } = groupOf(plan, options), { length } = chunkOf(plan.length, size, index);
    places.push([
      whole,
      category === "parameters" && plan.furtherUseOf !== undefined
        ? places[plan.furtherUseOf][1]
        : heap.allocate(`chunk of the ${what} of ${plan.name}`, length, category, precision),
    ]);
  }
  return places;
}

/** The parameters of a bucket, or of this rank's chunk of it, as runs of elements with their values. */
export function storedPieces(bucket: Bucket, zeroStage: ZeroStage, isChunk: boolean): StoredPiece[] {
  const { chunk, values, ownValues } = bucket;
  return runsOf(bucket, isChunk).map(({ parameter, start, place, length }) => ({
    parameter,
    start,
    values: zeroStage === 3
      ? subspan(ownValues, place - chunk.start, length)
      : subspan(values, place, length),
  }));
}

/** The same with their gradients; of stages 2 and 3 there are only those of the chunk. */
export function updatedPieces(bucket: Bucket, zeroStage: ZeroStage, isChunk: boolean): Piece[] {
  const { chunk, gradients, ownGradients } = bucket, stored = storedPieces(bucket, zeroStage, isChunk);
  return runsOf(bucket, isChunk).map(({ place, length }, i) => ({
    ...stored[i],
    isSaved: isChunk || bucket.group.index === 0,
    gradient: zeroStage >= 2
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

/** Where the values and gradients of each parameter lie, by name. */
export function placesOf(
  buckets: readonly Bucket[],
): Map<string, { readonly bucket: Bucket; readonly values: Span; readonly gradients: Span }> {
  const own = buckets.filter((bucket) => !isFurtherUse(bucket));
  return new Map(own.flatMap((bucket) =>
    bucket.plan.entries.map(({ name, offset, length }) => {
      const [values, gradients] = [bucket.values, bucket.gradients].map((span) =>
        subspan(span, offset, length)
      );
      return [name, { bucket, values, gradients }];
    })
  ));
}
