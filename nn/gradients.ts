import type { Backend, DeviceHeap, DType, Span } from "../kernels/mod.ts";
import { Parameter, type Tensor } from "./tensor.ts";

/** Memory for gradients of activations: blocks go back to the arena, not to the heap, as replays use them again. */
export class GradientArena {
  readonly #heap: DeviceHeap;
  readonly #free = new Map<string, Span[]>();
  readonly #all: Span[] = [];

  /** Takes blocks from this heap, as activations. */
  constructor(heap: DeviceHeap) {
    this.#heap = heap;
  }

  /** A block of `length` elements, used again if one of the same size and type is free. */
  take(name: string, length: number, dtype: DType = "f32"): Span {
    const span = this.#free.get(keyOf({ length, dtype }))?.pop();
    if (span !== undefined) return span;
    const fresh = this.#heap.allocate(`gradient of ${name}`, length, "activations", dtype);
    this.#all.push(fresh);
    return fresh;
  }

  /** Makes a block free for the next `take` of its size. */
  give(span: Span): void {
    const key = keyOf(span), list = this.#free.get(key);
    if (list === undefined) this.#free.set(key, [span]);
    else list.push(span);
  }

  /** Gives everything back to the heap; no tape that used the arena may run again. */
  release(): void {
    for (const span of this.#all.splice(0)) this.#heap.free(span);
    this.#free.clear();
  }
}

function keyOf({ length, dtype }: Pick<Span, "length" | "dtype">): string {
  return `${dtype} ${length}`;
}

/** Where an op delivers the gradient of an input. */
export interface GradientTarget {
  /** Where to write; elements as many and of the type as those of the input. */
  readonly span: Span;
  /** Another consumer of the input has delivered before: add. */
  readonly accumulate: boolean;
}

/** What this file needs to know of a recorded op. */
export interface Consumer {
  /** What it reads and may deliver gradients to. */
  readonly inputs: readonly Tensor[];
  /** What it fills. */
  readonly output: Tensor;
}

/** A gradient block and how many tensors' gradients it holds at the moment (aliases). */
interface Block {
  readonly span: Span;
  owners: number;
  readonly isOwned: boolean;
}

/** What a planned backward pass works with. */
export interface GradientsOptions {
  /** Where gradients of activations live. */
  readonly arena: GradientArena;
  /** Adds gradients of tensors with several consumers. */
  readonly backend: Backend;
  /** Spans that the gradients of certain tensors must end in, as somebody outside the tape reads them. */
  readonly destined: ReadonlyMap<Tensor, Span>;
  /**
   * Weight gradients run after the whole input pass: every gradient of an output stays as it is until then, so none is
   * shared or given back.
   */
  readonly isDeferring: boolean;
}

/** Hands out the spans of gradients while the backward pass of a tape is planned. */
export class Gradients {
  readonly #arena: GradientArena;
  readonly #backend: Backend;
  readonly #destined: ReadonlyMap<Tensor, Span>;
  readonly #isDeferring: boolean;
  readonly #blocks = new Map<Tensor, Block>();
  readonly #consumers = new Map<Tensor, number>();
  readonly #throughActivation = new Set<Tensor>();
  readonly #temporaries: Span[] = [];

  /** Begins to plan the backward pass of these ops, which must be in the order of the forward pass. */
  constructor(options: GradientsOptions, entries: readonly Consumer[]) {
    this.#arena = options.arena;
    this.#backend = options.backend;
    this.#destined = options.destined;
    this.#isDeferring = options.isDeferring;
    for (const entry of entries) {
      for (const input of entry.inputs) this.#consumers.set(input, (this.#consumers.get(input) ?? 0) + 1);
    }
  }

  /** Whether some consumer of the tensor has delivered a gradient: its producer must go on. */
  isReached(tensor: Tensor): boolean {
    return this.#blocks.has(tensor);
  }

  /** The complete gradient of an op's output; it may be overwritten, nobody reads it afterwards. */
  output(tensor: Tensor): Span {
    const block = this.#blocks.get(tensor);
    if (block === undefined) {
      throw new TypeError(`Cannot read the gradient of ${tensor.name}: none was delivered`);
    }
    return block.span;
  }

  /** Where to deliver the gradient of an input, or undefined if nobody wants it. */
  input(tensor: Tensor): GradientTarget | undefined {
    if (!tensor.requiresGradient) return undefined;
    if (tensor instanceof Parameter) return { span: tensor.gradient, accumulate: true };
    const block = this.#blocks.get(tensor);
    if (block !== undefined) return { span: block.span, accumulate: true };
    return { span: this.#open(tensor), accumulate: false };
  }

  /**
   * As {@link input}, for kernels that cannot add: `after` must run when the kernel has written `span`.
   */
  inputOverwritten(tensor: Tensor): { span: Span; after?: () => void } | undefined {
    const target = this.input(tensor);
    if (target === undefined || !target.accumulate) return target;
    const temporary = this.temporary(tensor), backend = this.#backend;
    return { span: temporary, after: () => backend.axpy(1, temporary, target.span) };
  }

  /** Memory like that of a tensor, for one op only: also for a gradient that its kernel writes and nobody wants. */
  temporary({ name, span: { length }, dtype }: Tensor): Span {
    const span = this.#arena.take(name, length, dtype);
    this.#temporaries.push(span);
    return span;
  }

  /**
   * The op's output gradient *is* the gradient of this input (`out = input + ...`): shares the block if this is the
   * first delivery, otherwise returns what to run to add it. After sharing, `from` must not be overwritten.
   *
   * @param isAlias Both tensors are the same memory, and `from` is no product that a weight gradient reads.
   */
  pass(from: Tensor, to: Tensor, isAlias = false): (() => void) | undefined {
    if (!to.requiresGradient) return undefined;
    const source = this.#blocks.get(from);
    if (source === undefined) {
      throw new TypeError(`Cannot pass the gradient of ${from.name}: none was delivered`);
    }
    const target = to instanceof Parameter ? { span: to.gradient } : this.#blocks.get(to);
    const backend = this.#backend;
    if (target !== undefined) return () => backend.axpy(1, source.span, target.span);
    if ((this.#isDeferring && !isAlias) || this.#destined.has(to)) {
      const span = this.#open(to);
      return () => backend.copy(source.span, span);
    }
    source.owners++;
    this.#blocks.set(to, source);
    return undefined;
  }

  /** Declares that `span`, which the op fills, holds the gradient of a tensor that only it consumes. */
  provide(tensor: Tensor, span: Span): void {
    if (tensor.requiresGradient) this.#blocks.set(tensor, { span, owners: 1, isOwned: false });
  }

  /**
   * The input of the fused activation that made `tensor`, if this op is its only consumer and so may deliver the
   * gradient before the activation (`dPre = dOut * f'(pre)` fused into its own kernel).
   */
  inputThroughActivation(tensor: Tensor): Span | undefined {
    if (tensor.preActivation === undefined || this.#consumers.get(tensor) !== 1) return undefined;
    this.#throughActivation.add(tensor);
    return tensor.preActivation;
  }

  /** Whether the gradient of `tensor` was delivered as that of its activation's input. */
  isThroughActivation(tensor: Tensor): boolean {
    return this.#throughActivation.has(tensor);
  }

  /** Ends the planning of an op: frees the gradient of its output. */
  finish(entry: Consumer): void {
    this.#drop(entry.output);
    for (const temporary of this.#temporaries.splice(0)) this.#arena.give(temporary);
  }

  /** Frees what was delivered to tensors that no op made. */
  close(): void {
    for (const tensor of [...this.#blocks.keys()]) this.#drop(tensor);
  }

  #open(tensor: Tensor): Span {
    const destined = this.#destined.get(tensor);
    const span = destined ?? this.#arena.take(tensor.name, tensor.span.length, tensor.dtype);
    this.#blocks.set(tensor, { span, owners: 1, isOwned: destined === undefined });
    return span;
  }

  #drop(tensor: Tensor): void {
    const block = this.#blocks.get(tensor);
    if (block === undefined) return;
    this.#blocks.delete(tensor);
    block.owners--;
    if (block.owners === 0 && block.isOwned && !this.#isDeferring) this.#arena.give(block.span);
  }
}
