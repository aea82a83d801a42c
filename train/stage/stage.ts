import type { BatchViews, Source } from "../../data/mod.ts";
import { type Backend, type DeviceHeap, type DType, numElements } from "../../kernels/mod.ts";
import {
  ExactSums,
  GradientArena,
  type Loss,
  type Placement,
  type Recompute,
  SegmentMemory,
  SEQUENCE_UNITS,
  type Sharding,
  Tape,
  type Tensor,
} from "../../nn/mod.ts";
import type { ParameterStore, StagePass, StageProgram, TensorParallel } from "../../strategies/mod.ts";
import type { ModelParts } from "../../models/mod.ts";
import { traceShapes } from "./trace_shapes.ts";

/** The recorded pass of a number of samples through one stage. */
export interface RecordedPass extends StagePass {
  /** The ops, and what the step tells them. */
  readonly tape: StageProgram & Pick<Tape, "auxiliary" | "lossScale">;
  /** Samples that the pass is recorded for. */
  readonly size: number;
  /** What the first stage reads. */
  readonly inputs: Tensor | undefined;
  /** Where documents begin, on every stage, if the source has them. */
  readonly documents?: Tensor;
  /** What the last stage compares with. */
  readonly targets: Tensor | undefined;
  /** What the last stage computes. */
  readonly loss: Loss | undefined;
}

/** What a stage is made of. */
export interface StageOptions {
  /** Computes on the device's memory. */
  readonly backend: Backend;
  /** The model. */
  readonly parts: ModelParts;
  /** Says the shapes of samples. */
  readonly source: Source;
  /** Its parameters and layers. */
  readonly store: ParameterStore;
  /** Its layers `[start, end)` of the model. */
  readonly range: { readonly start: number; readonly end: number };
  /** Weight gradients run apart from input gradients. */
  readonly deferWeights: boolean;
  /** Activations that are computed again instead of kept. */
  readonly recompute: Recompute;
  /** Tensor parallelism. */
  readonly tensor?: TensorParallel;
  /** Tensor, expert and context parallelism, as the model was built with. */
  readonly sharding?: Sharding;
  /** Exact numerics: the number of ranks that hold parts of a sequence. */
  readonly exactRanks?: number;
  /** Which tokens of each sequence this rank sees, and in which type. */
  readonly placement?: Omit<Placement, "spreadCrossEntropy" | "exact">;
}

/** A pipeline stage, however it computes. */
export interface TrainStage {
  /** Parameters and layers. */
  readonly store: ParameterStore;
  /** The pass over `size` samples in a slot; recorded when first asked for. */
  pass(slot: number, size: number): RecordedPass;
  /** Fills what a pass reads; `read` writes sample `i` to its place. */
  fill(pass: RecordedPass, read: (i: number, views: BatchViews) => void): void;
}

/** What {@link fillBatch} fills. */
export type Batch = Pick<RecordedPass, "inputs" | "documents" | "targets" | "size"> & {
  /** Writes sample `i` to its place. */
  readonly read: (i: number, views: BatchViews) => void;
};

/** Fills the inputs, documents and targets of a pass, those that it has. */
export function fillBatch(heap: DeviceHeap, source: Source, batch: Batch): void {
  const { inputs, documents, targets, size, read } = batch;
  if (inputs === undefined && targets === undefined && documents === undefined) return;
  const view = (tensor: Tensor | undefined, shape: readonly number[]) => {
    // A stage that is first but not last has no place for targets, and the other way round.
    if (tensor === undefined) return new Int32Array(size * numElements(shape));
    return tensor.dtype === "i32" ? heap.i32(tensor.span) : heap.f32(tensor.span);
  };
  const views = {
    inputs: view(inputs, source.inputShape),
    targets: view(targets, source.targetShape) as Int32Array,
    ...(documents && { documents: heap.i32(documents.span) }),
  };
  for (let i = 0; i < size; i++) read(i, views);
}

/** The layers of one pipeline stage on this device, and their recordings. */
export class Stage implements TrainStage {
  /** Parameters and layers. */
  readonly store: ParameterStore;
  readonly #options: StageOptions;
  readonly #arena: GradientArena;
  readonly #segmentArena: GradientArena;
  readonly #segmentMemory: SegmentMemory;
  readonly #sumArena: GradientArena;
  readonly #passes = new Map<string, RecordedPass>();

  /** Records nothing yet. */
  constructor(options: StageOptions) {
    this.store = options.store;
    this.#options = options;
    const { heap } = options.backend;
    this.#arena = new GradientArena(heap);
    this.#segmentArena = new GradientArena(heap);
    this.#segmentMemory = new SegmentMemory(heap);
    this.#sumArena = new GradientArena(heap);
  }

  /** The pass over `size` samples in a slot; recorded when first asked for. */
  pass(slot: number, size: number): RecordedPass {
    const key = `${slot}/${size}`, known = this.#passes.get(key);
    if (known !== undefined) return known;
    const pass = this.#record(size);
    this.#passes.set(key, pass);
    return pass;
  }

  /** Fills what a pass reads; `read` writes sample `i` to its place. */
  fill(pass: RecordedPass, read: (i: number, views: BatchViews) => void): void {
    fillBatch(this.#options.backend.heap, this.#options.source, { ...pass, read });
  }

  #record(size: number): RecordedPass {
    const { backend, parts, source, store, range, deferWeights, tensor, recompute } = this.#options;
    const arena = deferWeights ? undefined : this.#arena;
    const tape = new Tape({
      backend,
      training: true,
      placement: this.#placement(size),
      deferWeights,
      arena,
      recompute: { mode: recompute, makeInner: () => this.#makeInner(size) },
    });
    const isFirst = range.start === 0, isLast = range.end === parts.layers.length;
    const inputs = isFirst
      ? tape.input("inputs", [size, ...source.inputShape], source.inputDType)
      : undefined;
    const targets = isLast ? tape.input("targets", [size, ...source.targetShape], "i32") : undefined;
    tape.documents = source.hasDocuments
      ? tape.input("documents", [size, ...source.inputShape], "i32")
      : undefined;
    const handed = isFirst ? undefined : tape.handoff("activations", this.#shapeBefore(size));
    if (handed !== undefined) tensor?.beginLocal(tape, [size, ...source.inputShape]);
    if (targets !== undefined) parts.setTargets(targets);
    let x = inputs ?? handed!.tensor;
    for (const layer of store.layers) x = layer.forward(tape, x);
    const loss = isLast ? parts.lossOf(tape, x) : undefined;
    const sent = isLast ? undefined : { values: x.span, gradient: tape.handoffTo(x) };
    tape.plan();
    const received = handed && { values: handed.tensor.span, gradient: handed.gradient };
    return { tape, size, inputs, documents: tape.documents, targets, loss, received, sent };
  }

  /** The tape of a segment that is recomputed; only one is at work at a time, so all share their memory. */
  #makeInner(size: number): Tape {
    const { backend, tensor, source } = this.#options, memory = this.#segmentMemory;
    memory.begin();
    const allocate = (name: string, length: number, dtype: DType) => memory.allocate(name, length, dtype);
    const memories = { arena: this.#segmentArena, allocate }, placement = this.#placement(size);
    const tape = new Tape({ backend, training: true, placement, ...memories });
    tensor?.beginLocal(tape, [size, ...source.inputShape]);
    return tape;
  }

  #placement(size: number): Placement {
    const { placement, tensor } = this.#options;
    return { ...placement, spreadCrossEntropy: tensor?.spreadCrossEntropy, exact: this.#exactSums(size) };
  }

  #exactSums(size: number): ExactSums | undefined {
    const { backend, exactRanks, source, tensor } = this.#options;
    if (exactRanks === undefined) return undefined;
    const tokens = numElements(source.inputShape);
    const units = tokens * exactRanks % SEQUENCE_UNITS === 0 ? SEQUENCE_UNITS / exactRanks : 1;
    const { gatherUnits } = tensor ?? {};
    return new ExactSums({ backend, sequences: size, tokens, units, arena: this.#sumArena, gatherUnits });
  }

  /** Shape of what the stage before hands over. */
  #shapeBefore(size: number): readonly number[] {
    const { parts, source, sharding, range } = this.#options;
    return traceShapes(parts, source, size, sharding)[range.start - 1];
  }
}
