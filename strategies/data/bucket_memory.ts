import { chunkOf, type Group } from "../../collectives/mod.ts";
import { type Backend, type Precision, type Span, subspan } from "../../kernels/mod.ts";
import type { Bucket } from "./bucket.ts";
import type { BucketPlan } from "./buckets.ts";
import { GradientFold } from "./gradient_fold.ts";
import type { ZeroPolicy } from "./zero.ts";

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
  readonly zero: ZeroPolicy;
  /** Exact numerics: the number of micro-batches, whose gradients are summed over the group one by one. */
  readonly exact?: { readonly microBatches: number };
  /** Element type of values and gradients; by default f32. */
  readonly precision?: Precision;
}

/** The ranks that share a bucket out. */
export function groupOf(plan: BucketPlan, { group, expertGroup }: BucketMemoryOptions): Group {
  return plan.isExpert ? expertGroup ?? group : group;
}

/** Gives buckets their memory; what is kept as a chunk is computed on in staging buffers. */
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
  { backend, zero, exact }: BucketMemoryOptions,
): GradientFold | undefined {
  if (plan.isFrozen || exact === undefined || exact.microBatches === 1) return undefined;
  const { length } = zero.shardsOptimizer ? chunk : plan;
  return new GradientFold(backend, { name: `gradients of ${plan.name}`, length, ...exact });
}

/** The gradients of what is frozen. */
const EMPTY: Span = { byteOffset: 0, length: 0, dtype: "f32" };
const NOTHING: [whole: Span, own: Span] = [EMPTY, EMPTY];

/** For each bucket: all of it, and this rank's chunk. */
type Places = [whole: Span, own: Span][];

function placeValues(plans: readonly BucketPlan[], options: BucketMemoryOptions): Places {
  const { backend: { heap }, precision } = options;
  if (options.zero.shardsParameters) return staged(plans, options, "parameters", "values");
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
  const { backend, zero, precision } = options, { heap } = backend;
  if (!zero.shardsGradients) {
    return plans.map((plan) =>
      plan.isFrozen ? NOTHING : resident(
        heap.allocate(`gradients of ${plan.name}`, plan.length, "gradients", precision),
        groupOf(plan, options),
      )
    );
  }
  const places = staged(plans, options, "gradients", "gradients");
  // A staging buffer is cleared when it has been reduced; the first time it must be clear from the start.
  if (heap.memory !== undefined) {
    for (const place of places) if (place !== NOTHING) backend.fill(0, place[0]);
  }
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
  const isStaged = ({ isFrozen }: BucketPlan) => category === "parameters" || !isFrozen;
  const rotation = (isExpert: boolean) => {
    const own = plans.filter((plan) => !plan.isShared && isStaged(plan) && plan.isExpert === isExpert);
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
    if (!isStaged(plan)) {
      places.push(NOTHING);
      continue;
    }
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
