/**
 * The tape: a program of kernel calls on fixed memory, recorded once for a shape and run every step.
 *
 * An op allocates its output and builds its kernel arguments when it is recorded. What is left for a step is to call closures
 * in order: no allocation, no shape logic, no garbage. The price: control flow may depend on shapes, not on values.
 */
import type { Backend, Category, DeviceHeap, DType, Precision, Span } from "../kernels/mod.ts";
import type { BackwardPass, Entry } from "./entry.ts";
import type { ExactSums } from "./exact_sums.ts";
import { GradientArena, Gradients } from "./gradients.ts";
import type { AuxiliaryLoss, Loss } from "./loss.ts";
import type { Lowering } from "./lowering.ts";
import type { Recompute } from "./recompute_mode.ts";
import { numElements, type Shape } from "./shape.ts";
import type { TapeMemory, TokenPlacement } from "./tape_options.ts";
import { Parameter, Tensor } from "./tensor.ts";

/** How a strategy computes the loss of logits of which this device holds some of the classes. */
export type SpreadCrossEntropy = (tape: Tape, logits: Tensor, targets: Tensor) => Loss | undefined;

/** How a tape recomputes. */
export interface Recomputation {
  /** What is recomputed. */
  readonly mode: Recompute;
  /** Makes the tape of a segment; its activations are in a `SegmentMemory`. */
  readonly makeInner: () => Tape;
}

/** Which part of a run's numbers a device holds: what the strategies around a model decide. */
export interface Placement extends TokenPlacement {
  /** Computes the loss of logits whose classes lie on several devices; undefined for other logits. */
  readonly spreadCrossEntropy?: SpreadCrossEntropy;
}

/** How a tape is made. */
export interface TapeOptions extends TapeMemory {
  /** Runs the kernels. */
  readonly backend: Backend;
  /** Records a backward pass; without it outputs need no gradient. */
  readonly training: boolean;
  /** By default whole sequences, all classes, float32. */
  readonly placement?: Placement;
  /** Activations that are computed again instead of kept. */
  readonly recompute?: Recomputation;
}

/** Records ops in order; runs them, and their backward passes in reverse. */
export class Tape {
  /** Runs the kernels of the ops. */
  readonly backend: Backend;
  /** Whether ops record their backward passes. */
  readonly isTraining: boolean;
  /** Element type of activations. */
  readonly precision: Precision;
  /** What the strategies around the model decide. */
  readonly placement: Placement;
  /** See {@link Placement}. */
  readonly exact: ExactSums | undefined;
  /**
   * What each row counts for in the gradients of auxiliary losses: 1 / (counted rows of the global batch). The scale of
   * the main loss sets it; a tape without one, such as that of a pipeline stage, is told. Read by the backward pass.
   */
  lossScale = 1;
  /** Losses beside the main one, in the order of their layers. */
  readonly auxiliary: AuxiliaryLoss[] = [];
  /** See {@link TapeOptions}; undefined also where nothing is recomputed. */
  readonly recompute: Recomputation | undefined;
  /** i32 [B, T]: places of tokens in their sequences, if the batch says so; by default as the placement has them. */
  positions: Tensor | undefined;
  /** i32 [B, T]: where in its row each token's document begins, if several share a row. A token sees its own only. */
  documents: Tensor | undefined;
  readonly #allocate: TapeOptions["allocate"];
  readonly #arena: GradientArena;
  readonly #isDeferring: boolean;
  readonly #destined = new Map<Tensor, Span>();
  readonly #entries: Entry[] = [];
  readonly #spans: Span[] = [];
  readonly #constants = new Map<Tensor, (index: number) => number>();
  readonly #common = new Map<string, Tensor>();
  #outer: Tape | undefined;
  /** Of the backward pass, last op first. */
  #passes: BackwardPass[] | undefined;

  /** Makes an empty tape. */
  constructor({ placement = {}, ...options }: TapeOptions) {
    this.backend = options.backend;
    this.isTraining = options.training;
    this.precision = placement.precision ?? "f32";
    this.placement = placement;
    this.exact = placement.exact;
    this.#isDeferring = options.deferWeights ?? false;
    this.#allocate = options.allocate;
    this.recompute = options.recompute?.mode === "none" ? undefined : options.recompute;
    this.#arena = options.arena ?? new GradientArena(options.backend.heap);
  }

  /** The memory that tensors of this tape live in. */
  get heap(): DeviceHeap {
    return this.backend.heap;
  }

  /** Place in its whole sequence of the token at `index` of a row: a device may hold a part of each sequence. */
  positionOf(index: number): number {
    return this.placement.positions?.[index] ?? index;
  }

  /** A tensor that several ops read, made for the first that asks; segments have those of the tape around them. */
  once(key: string, make: (tape: Tape) => Tensor): Tensor {
    if (this.#outer !== undefined) return this.#outer.once(key, make);
    const known = this.#common.get(key) ?? make(this);
    this.#common.set(key, known);
    return known;
  }

  /** Says that this tape is that of a segment of another one. */
  nestIn(outer: Tape): void {
    [this.#outer, this.positions, this.documents] = [outer, outer.positions, outer.documents];
  }

  /** Names of the recorded ops, in order. */
  get names(): readonly string[] {
    return this.#entries.map((entry) => entry.name);
  }

  /** A tensor that the caller fills before each run: a batch. */
  input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
    return this.#tensor(name, shape, dtype, false);
  }

  /**
   * A tensor that another device fills before each run and wants the gradient of: what a pipeline stage receives.
   *
   * @returns The tensor, and the span that holds its gradient after the backward pass.
   */
  handoff(name: string, shape: Shape): { tensor: Tensor; gradient: Span } {
    const tensor = this.#tensor(name, shape, this.precision, this.isTraining);
    const gradient = this.#gradientOf(tensor);
    this.#destined.set(tensor, gradient);
    return { tensor, gradient };
  }

  /**
   * A tensor of an outer tape as an input of this one, in the same memory.
   *
   * @returns The tensor, and the span that holds its gradient after this tape's backward pass.
   */
  alias(outer: Tensor): { tensor: Tensor; gradient: Span | undefined } {
    const tensor = new Tensor(outer);
    if (!outer.requiresGradient) return { tensor, gradient: undefined };
    const gradient = this.#gradientOf(outer);
    this.#destined.set(tensor, gradient);
    return { tensor, gradient };
  }

  /** Parameters that the recorded ops read. */
  get parameters(): readonly Parameter[] {
    const inputs = this.#entries.flatMap((entry) => entry.inputs);
    return [...new Set(inputs.filter((input) => input instanceof Parameter))];
  }

  /**
   * Ends the tape with a tensor that goes to another device, which sends its gradient back.
   *
   * @returns The span to fill with the gradient before the backward pass, which may overwrite it.
   */
  handoffTo(tensor: Tensor): Span {
    const gradient = this.#gradientOf(tensor);
    this.record({
      name: "handoff",
      inputs: [tensor],
      output: this.output("handoff", [0], [tensor]),
      isRoot: true,
      forward: () => {},
      backward: (gradients) => {
        gradients.provide(tensor, gradient);
        return {};
      },
    });
    return gradient;
  }

  /** A tensor whose elements never change. */
  constant(name: string, shape: Shape, dtype: "f32" | "i32", value: (index: number) => number): Tensor {
    // Not from `allocate`: segments that are recomputed in turn would overwrite it.
    const span = this.heap.allocate(name, numElements(shape), "activations", dtype);
    this.#spans.push(span);
    const tensor = new Tensor({ name, shape, span, requiresGradient: false });
    this.#constants.set(tensor, value);
    if (this.heap.memory !== undefined) {
      const elements = dtype === "f32" ? this.heap.f32(tensor.span) : this.heap.i32(tensor.span);
      for (let i = 0; i < elements.length; i++) elements[i] = value(i);
    }
    return tensor;
  }

  /** The output of an op, allocated for the life of the tape; an activation, unless `dtype` says otherwise. */
  output(name: string, shape: Shape, inputs: readonly Tensor[], dtype: DType = this.precision): Tensor {
    const requiresGradient = this.isTraining && inputs.some((input) => input.requiresGradient);
    return this.#tensor(name, shape, dtype, requiresGradient);
  }

  /** Memory that an op keeps from its forward to its backward pass. */
  scratch(name: string, length: number, category: Category = "activations", dtype: DType = "f32"): Span {
    if (this.#allocate !== undefined && category === "activations") {
      return this.#allocate(name, length, dtype);
    }
    const span = this.heap.allocate(name, length, category, dtype);
    this.#spans.push(span);
    return span;
  }

  /** Appends an op; runs nothing. */
  record(entry: Entry): Tensor {
    if (this.#passes !== undefined) throw new TypeError("Cannot record after the backward pass was planned");
    this.#entries.push(entry);
    return entry.output;
  }

  /** Runs all ops on what their inputs now hold. */
  forward(): void {
    for (const entry of this.#entries) entry.forward();
  }

  /**
   * Runs the backward passes in reverse order; gradients of parameters are added to.
   *
   * The first call plans: it allocates the gradients of activations and frees each one for reuse as soon as its
   * last reader is done.
   */
  backward(): void {
    for (const pass of this.plan()) {
      pass.input?.();
      pass.weight?.();
    }
  }

  /** The part of {@link backward} that other devices wait for; needs `deferWeights`. */
  backwardInput(): void {
    for (const pass of this.plan()) pass.input?.();
  }

  /** The rest of {@link backward}, at any time before the next forward pass of this tape. */
  backwardWeight(): void {
    for (const pass of this.plan()) pass.weight?.();
  }

  /** Plans the backward pass unless that was done. Allocates, runs nothing. */
  plan(): readonly BackwardPass[] {
    return this.#passes ??= this.#planBackward();
  }

  /**
   * Adds the forward pass to an ONNX graph; inputs of the tape must be bound there.
   *
   * @throws {TypeError} Names an op that has no ONNX form.
   */
  lower(lowering: Lowering): void {
    for (const [tensor, value] of this.#constants) lowering.bindConstant(tensor, value);
    for (const { name, output, lower } of this.#entries) {
      if (lower === undefined) {
        throw new TypeError(`Cannot run ${name} as an ONNX graph: it has no ONNX form`);
      }
      lowering.bind(output, lower(lowering));
    }
  }

  /** Gives the memory of all tensors of this tape back. */
  release(): void {
    for (const span of this.#spans.splice(0)) this.heap.free(span);
    this.#entries.length = this.auxiliary.length = 0;
    this.#common.clear();
    this.#passes = undefined;
  }

  #gradientOf({ name, span: { length, dtype } }: Tensor): Span {
    return this.scratch(`gradient of ${name}`, length, "activations", dtype);
  }

  #tensor(name: string, shape: Shape, dtype: DType, requiresGradient: boolean): Tensor {
    const length = numElements(shape), own = this.#allocate?.(name, length, dtype);
    const span = own ?? this.heap.allocate(name, length, "activations", dtype);
    if (own === undefined) this.#spans.push(span);
    return new Tensor({ name, shape, span, requiresGradient });
  }

  #planBackward(): BackwardPass[] {
    const parts = { arena: this.#arena, backend: this.backend, destined: this.#destined };
    const gradients = new Gradients({ ...parts, isDeferring: this.#isDeferring }, this.#entries);
    const passes: BackwardPass[] = [];
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i];
      const isReached = entry.isRoot === true || gradients.isReached(entry.output);
      if (entry.backward === undefined || !isReached) continue;
      passes.push(entry.backward(gradients));
      gradients.finish(entry);
    }
    gradients.close();
    return passes;
  }
}
