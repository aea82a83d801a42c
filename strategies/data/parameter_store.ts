import type { Group } from "../../collectives/mod.ts";
import { type Backend, type Precision, subspan } from "../../kernels/mod.ts";
import {
  type Layer,
  type LayerFactory,
  type Parameter,
  recomputedLayer,
  Scope,
  type ScopeOptions,
  type Sharding,
} from "../../nn/mod.ts";
import { bracketLayer } from "./bracket.ts";
import {
  type Bucket,
  isFurtherUse,
  type Piece,
  placesOf,
  type SavedPiece,
  savedPieces,
  type StoredPiece,
  storedPieces,
  updatedPieces,
} from "./bucket.ts";
import { allocateBuckets } from "./bucket_memory.ts";
import { type BucketPlans, firstTrained, type LayerPlan, planBuckets } from "./buckets.ts";
import type { ZeroPolicy } from "./zero.ts";

/** How to make a {@link ParameterStore}. */
export interface ParameterStoreOptions {
  /** Computes on the device's heap. */
  readonly backend: Backend;
  /** Ranks that see different data and hold the same parameters (or shards of them). */
  readonly group: Group;
  /** The same of experts; by default `group`. */
  readonly expertGroup?: Group;
  /** What these ranks share out. */
  readonly zero: ZeroPolicy;
  /** Element type of values and gradients; by default f32. */
  readonly precision?: Precision;
  /** Of the initial values. */
  readonly seed: ScopeOptions["seed"];
  /** Every layer of the model. */
  readonly allLayers: readonly LayerFactory[];
  /** Layers of this device. */
  readonly ownLayers: readonly LayerFactory[];
  /** Tensor parallelism. */
  readonly sharding?: Sharding;
  /**
   * Makes what completes the gradients of a bucket's parameters on this rank before they are summed over the group: under
   * sequence parallelism a sum over the tensor group.
   */
  readonly completeWith?: (parameters: readonly Parameter[]) => { sum(): void };
  /** Exact numerics; see `BucketMemoryOptions`. */
  readonly exact?: { readonly microBatches: number };
}

/**
 * Parameters and gradients of a device, and how the ranks of the data axis share them out (ZeRO).
 *
 * Every layer's parameters are a bucket, and a {@link ZeroPolicy} says what of it stays here and what is exchanged. A bucket
 * is reduced when the backward pass of its layer is done: in the last one of a step, or in each where gradients are sharded.
 * Where values are, a layer is gathered before its forward and before its backward pass, the next one ahead of time.
 * Entries on the tape around each layer do it; the layers do not know.
 *
 * Bytes moved per rank and step: see `zero.ts`.
 *
 * Source: Rajbhandari et al., ZeRO, SC 2020, sections 5 and 7; Zhao et al., PyTorch FSDP, VLDB 2023, for prefetching.
 */
export class ParameterStore {
  /** Layers of this device, in order, with the entries that make them work. */
  readonly layers: readonly Layer[];
  /** Parameters of this device. */
  readonly parameters: readonly Parameter[];
  readonly #options: ParameterStoreOptions;
  readonly #plans: BucketPlans;
  readonly #buckets: readonly Bucket[];
  /** By bucket; see {@link ParameterStoreOptions}. */
  readonly #completions: readonly ({ sum(): void } | undefined)[];
  /** The first layer with a backward pass: all of a later pipeline stage have one, as a stage before may train. */
  readonly #firstReached: number;
  #isLastPass = true;

  /** Allocates everything, builds the layers and fills their parameters. */
  constructor(options: ParameterStoreOptions) {
    const { backend, seed, sharding, ownLayers } = options;
    this.#options = options;
    this.#plans = planBuckets(options.allLayers, ownLayers, sharding, options.exact !== undefined);
    this.#buckets = allocateBuckets(this.#plans.buckets, options);
    this.#firstReached = ownLayers[0] === options.allLayers[0] ? firstTrained(this.#plans) : 0;
    const places = placesOf(this.#buckets), furtherUses = this.#buckets.filter(isFurtherUse);
    const allocate = (name: string) => places.get(name)!.values;
    const useAgain = () => furtherUses[scope.furtherUses.length].values;
    const scope = Scope.of({
      ...{ heap: backend.heap, seed, sharding, allocate },
      useAgain: options.exact && useAgain,
    });
    this.layers = ownLayers.map((factory, i) => {
      const before = scope.parameters.length,
        usesBefore = scope.furtherUses.length,
        layer = factory.build(scope);
      for (const parameter of scope.parameters.slice(before)) {
        const { bucket, gradients } = places.get(parameter.name)!;
        if (gradients !== undefined) parameter.gradient = gradients;
        bucket.parameters.push(parameter);
      }
      scope.furtherUses.slice(usesBefore).forEach((use, j) => {
        const bucket = furtherUses[usesBefore + j];
        use.gradient = subspan(bucket.gradients, 0, use.span.length);
        bucket.parameters.push(use);
      });
      if (options.zero.shardsParameters) this.#firstUsed(i).forEach((bucket) => this.#keepChunk(bucket));
      return bracketLayer(factory.isRecomputable ? recomputedLayer(factory.name, layer) : layer, {
        enterForward: () => this.#enterForward(i),
        enterBackward: () => this.#enterBackward(i),
        enterWeights: () => this.#settleGradients(i),
        leaveBackward: () => this.#leaveBackward(i),
      });
    });
    this.parameters = scope.parameters;
    this.#completions = this.#buckets.map(({ plan, parameters }) =>
      plan.isFrozen ? undefined : options.completeWith?.(parameters)
    );
  }

  /** What this rank updates. */
  updatePieces(): Piece[] {
    return this.#trainedBuckets.flatMap((bucket) =>
      updatedPieces(bucket, this.#options.zero.shardsOptimizer)
    );
  }

  /** What this rank alone answers for: every element of the group's trained parameters is in one rank's chunk. */
  chunkPieces(): Piece[] {
    return this.#trainedBuckets.flatMap((bucket) => updatedPieces(bucket, true));
  }

  /** What is frozen, as {@link chunkPieces}, with whether this rank contributes it to a checkpoint. */
  frozenPieces(): SavedPiece[] {
    const frozen = this.#ownBuckets.filter(({ plan }) => plan.isFrozen);
    return frozen.flatMap((bucket) => savedPieces(bucket, this.#options.zero.shardsParameters));
  }

  /** Values that stay on this rank: what a checkpoint must fill. */
  residentPieces(): StoredPiece[] {
    return this.#ownBuckets.flatMap((bucket) => storedPieces(bucket, this.#options.zero.shardsParameters));
  }

  /** Sets all gradients to zero: a step begins. */
  clearGradients(): void {
    const { backend, zero } = this.#options;
    for (const bucket of this.#buckets) {
      bucket.isReduced = bucket.plan.isFrozen;
      if (!bucket.plan.isFrozen) backend.fill(0, zero.accumulated(bucket));
    }
  }

  /** Says whether the backward passes that follow are the last ones of the step. */
  beginPass(isLast: boolean): void {
    this.#isLastPass = isLast;
  }

  /** Stands for a backward pass of a micro-batch of which this rank has no samples. */
  skipPass(): void {
    if (this.#buckets.every(({ fold }) => fold === undefined)) return;
    for (const bucket of this.#buckets) this.#settle(bucket);
    this.#startReductions();
  }

  /** Returns when all gradients are summed over the group. */
  finishGradients(): void {
    this.#startReductions();
    for (const bucket of this.#buckets) this.#settle(bucket);
    const { backend, zero } = this.#options;
    for (const further of this.#buckets.filter(isFurtherUse)) {
      const first = this.#buckets[further.plan.furtherUseOf!];
      backend.axpy(1, zero.summed(further), zero.summed(first));
    }
  }

  /** Names of the parameters of this device that other layers of the model use too. */
  get sharedNames(): string[] {
    return this.#trainedBuckets.filter(({ plan }) => plan.isShared).map(({ plan }) => plan.name);
  }

  /** Sums the gradients of shared parameters over the stages that hold a copy; after {@link finishGradients}. */
  reduceShared(stages: Group): void {
    const { zero } = this.#options;
    for (const bucket of this.#trainedBuckets) {
      const { plan: { isShared, name } } = bucket;
      if (isShared) {
        stages.allReduce(zero.summed(bucket), { algorithm: "ordered", label: `gradient of ${name}` });
      }
    }
  }

  /** Makes the updated values whole again where they are resident. */
  finishUpdate(): void {
    if (!this.#options.zero.gathersUpdates) return;
    for (const { group, plan, ownValues, values } of this.#trainedBuckets) {
      group.allGather(ownValues, values, { label: `values of ${plan.name}` });
    }
  }

  /** Buckets whose values this rank keeps there: all but further uses of shared parameters. */
  get #ownBuckets(): Bucket[] {
    return this.#buckets.filter((bucket) => !isFurtherUse(bucket));
  }

  /** Those of them that are updated. */
  get #trainedBuckets(): Bucket[] {
    return this.#ownBuckets.filter(({ plan }) => !plan.isFrozen);
  }

  /** Buckets that no earlier layer uses: their forward pass begins here, their backward pass ends. */
  #firstUsed(layer: number): Bucket[] {
    return this.#bucketsOf((buckets) => this.#plans.layers.findIndex(buckets) === layer);
  }

  /** Buckets that no later layer uses: their backward pass begins here. */
  #lastUsed(layer: number): Bucket[] {
    return this.#bucketsOf((buckets) => this.#plans.layers.findLastIndex(buckets) === layer);
  }

  #bucketsOf(isMeant: (uses: (layer: LayerPlan) => boolean) => boolean): Bucket[] {
    return this.#buckets.filter((_, place) => isMeant(({ buckets }) => buckets.includes(place)));
  }

  #enterForward(layer: number): void {
    this.#gather(this.#firstUsed(layer), this.#firstUsed(layer + 1));
  }

  #enterBackward(layer: number): void {
    this.#gather(this.#lastUsed(layer), layer > this.#firstReached ? this.#lastUsed(layer - 1) : []);
    this.#settleGradients(layer);
  }

  /** Waits until a layer's gradients may be written: the sums of a micro-batch before, or of a layer before, may be under way. */
  #settleGradients(layer: number): void {
    if (!this.#options.zero.shardsGradients && this.#options.exact === undefined) return;
    const places = this.#lastUsed(layer).map((bucket) => bucket.gradients.byteOffset);
    for (const other of this.#buckets) if (places.includes(other.gradients.byteOffset)) this.#settle(other);
  }

  #leaveBackward(layer: number): void {
    const { zero, group, exact } = this.#options;
    const isReducedEachPass = zero.shardsGradients || (exact?.microBatches ?? 1) > 1;
    if (isReducedEachPass || this.#isLastPass) {
      for (const bucket of this.#firstUsed(layer)) this.#startReduction(bucket);
    }
    group.progress();
  }

  /** Last layer first, as the backward pass does: all ranks announce in the same order, also one that had no samples. */
  #startReductions(): void {
    for (let layer = this.#plans.layers.length - 1; layer >= 0; layer--) {
      for (const bucket of this.#firstUsed(layer)) this.#startReduction(bucket);
    }
  }

  /** Waits for values that are needed now and asks for those that are needed next. */
  #gather(now: readonly Bucket[], next: readonly Bucket[]): void {
    if (!this.#options.zero.shardsParameters) return;
    for (const bucket of now) {
      this.#startGather(bucket);
      bucket.gather!.wait();
      bucket.gather = undefined;
    }
    for (const bucket of next) this.#startGather(bucket);
  }

  #startGather(bucket: Bucket): void {
    const label = `values of ${bucket.plan.name}`;
    bucket.gather ??= bucket.group.startAllGather(bucket.ownValues, bucket.values, { label });
  }

  #startReduction(bucket: Bucket): void {
    if (bucket.isReduced || bucket.reduction !== undefined) return;
    bucket.isReduced = this.#isLastPass;
    this.#completions[this.#buckets.indexOf(bucket)]?.sum();
    bucket.reduction = this.#options.zero.startReduction(bucket, `gradients of ${bucket.plan.name}`);
  }

  #settle(bucket: Bucket): void {
    if (bucket.reduction === undefined) return;
    bucket.reduction.wait();
    bucket.reduction = undefined;
    const { backend, zero } = this.#options, { gradients, fold } = bucket;
    if (!zero.shardsGradients && fold === undefined) return;
    const sum = zero.reduced(bucket), isComplete = fold?.add(sum) ?? true;
    if (zero.shardsGradients && isComplete) backend.axpy(1, sum, zero.accumulated(bucket));
    if (zero.shardsGradients || !isComplete) backend.fill(0, gradients);
  }

  #keepChunk({ plan, values, ownValues, chunk }: Bucket): void {
    const { backend } = this.#options;
    if (plan.furtherUseOf === undefined && backend.heap.memory !== undefined) {
      backend.copy(subspan(values, chunk.start, chunk.length), ownValues);
    }
  }
}
