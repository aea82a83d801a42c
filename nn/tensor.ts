import type { Shape } from "./shape.ts";
import type { Shard } from "./shard.ts";
import type { SumChunks } from "./sum_chunks.ts";
import { type DeviceHeap, type DType, type Span, subspan, type WeightFormat } from "../kernels/mod.ts";

/** How a tensor is made. */
export interface TensorOptions {
  /** Shown in errors, and key of a parameter in checkpoints. */
  readonly name: string;
  /** Sizes of the dims, outermost first. */
  readonly shape: Shape;
  /** Where the elements lie. */
  readonly span: Span;
  /** Whether the backward pass must reach it. */
  readonly requiresGradient: boolean;
}

/** A dense, row-major array in the memory of one device. */
export class Tensor {
  /** Shown in errors. */
  readonly name: string;
  /** Sizes of the dims, outermost first. */
  readonly shape: Shape;
  /** Where the elements lie, in rows. */
  readonly span: Span;
  /** Whether the backward pass must reach it. */
  readonly requiresGradient: boolean;
  /**
   * Set on the output of a fused activation: the input of the activation. An op that is the only consumer may then
   * deliver the gradient of that input instead (see `Gradients.inputThroughActivation`).
   */
  preActivation: Span | undefined;

  /** Describes memory that is there already; allocates nothing. */
  constructor(options: TensorOptions) {
    this.name = options.name;
    this.shape = options.shape;
    this.span = options.span;
    this.requiresGradient = options.requiresGradient;
  }

  /** Element type. */
  get dtype(): DType {
    return this.span.dtype;
  }
}

/** How a parameter is made. */
export interface ParameterOptions extends Omit<TensorOptions, "requiresGradient"> {
  /** Of the whole tensor, if `shape` is that of a shard. */
  readonly globalShape?: Shape;
  /** Which part of the whole tensor this is; undefined = all. */
  readonly shard?: Shard;
  /** In exact numerics, how sums over a dim that some layout splits are cut; undefined = they are one chain. */
  readonly sumChunks?: SumChunks;
  /** A frozen one has no gradient; by default true. */
  readonly isTrained?: boolean;
  /** What reads it; undefined = anything. */
  readonly use?: ParameterUse;
  /** How it lies, if not as its shape says. */
  readonly packing?: "f32" | WeightFormat;
}

/**
 * What reads a parameter: products with it as their weight, of a layer or of the head; or, of a table, those and lookups of
 * its rows.
 */
export interface ParameterUse {
  /** The dim, 0 or 1, that counts the terms of products. */
  readonly inputsDim: number;
  /** What it is the weight of. */
  readonly of: "layer" | "head" | "table";
}

/** A tensor of the model, trained or frozen. Its name is its key in checkpoints; its span may be a shard. */
export class Parameter extends Tensor {
  /** Shape of the whole tensor. */
  readonly globalShape: Shape;
  /** Which part of the whole tensor this device holds; undefined = all. */
  readonly shard: Shard | undefined;
  /** See {@link ParameterOptions}. */
  readonly sumChunks: SumChunks | undefined;
  /** What reads it, if only that does: then it may lie in another way. */
  readonly use: ParameterUse | undefined;
  /** How it lies, if not as its shape says: packed by {@link packWeights}, or in panels of a format. */
  packing: "f32" | WeightFormat | undefined;
  #gradient: Span | undefined;

  /** Describes memory that is there already; its gradient is allocated apart. */
  constructor(options: ParameterOptions) {
    super({ ...options, requiresGradient: options.isTrained ?? true });
    this.globalShape = options.globalShape ?? options.shape;
    this.shard = options.shard;
    this.sumChunks = options.sumChunks;
    this.use = options.use;
    this.packing = options.packing;
  }

  /** Whether it has a gradient and is updated. */
  get isTrained(): boolean {
    return this.requiresGradient;
  }

  /**
   * Where the backward pass adds this parameter's gradient.
   *
   * @throws {TypeError} If none was allocated: it is frozen, or the model was built for inference.
   */
  get gradient(): Span {
    if (this.#gradient === undefined) {
      throw new TypeError(`Cannot train ${this.name}: no gradient was allocated (see allocateGradients)`);
    }
    return this.#gradient;
  }

  set gradient(span: Span) {
    this.#gradient = span;
  }

  /** Weight decay applies to tensors of two or more dims, not to biases and gains. */
  get isDecayed(): boolean {
    return this.shape.length >= 2;
  }
}

/**
 * Allocates the gradients of all parameters in one block, last parameter first: roughly the order in which a backward
 * pass completes them, so that neighbours can be reduced together while it goes on.
 *
 * @returns The block, which the caller clears before each step.
 */
export function allocateGradients(heap: DeviceHeap, parameters: readonly Parameter[]): Span {
  const starts: number[] = [];
  let length = 0;
  for (const parameter of parameters.toReversed()) {
    starts.unshift(length);
    length += Math.ceil(parameter.span.length / GRADIENT_ALIGN) * GRADIENT_ALIGN;
  }
  const block = heap.allocate("gradients", length, "gradients");
  parameters.forEach((parameter, i) => parameter.gradient = subspan(block, starts[i], parameter.span.length));
  return block;
}

/** Elements: gradients start on 64-byte lines. */
const GRADIENT_ALIGN = 16;
