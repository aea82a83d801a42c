import { type DeviceHeap, type DType, type Span, subspan } from "../kernels/mod.ts";

/** Sizes of a tensor's dims, outermost first. */
export type Shape = readonly number[];

/** Number of elements of a shape. */
export function numElements(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `[2, 3]`: a shape as text for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Rows and columns of a tensor seen as a matrix over its last dim. */
export function asMatrix(shape: Shape): { rows: number; cols: number } {
  const cols = shape.at(-1) ?? 1;
  return { rows: numElements(shape.slice(0, -1)), cols };
}

/** How a tensor is made. */
export interface TensorOptions {
  readonly name: string;
  readonly shape: Shape;
  readonly span: Span;
  /** Whether the backward pass must reach it. */
  readonly requiresGradient: boolean;
}

/** A dense, row-major array in the memory of one device. */
export class Tensor {
  readonly name: string;
  readonly shape: Shape;
  readonly span: Span;
  readonly requiresGradient: boolean;
  /**
   * Set on the output of a fused activation: the input of the activation. An op that is the only consumer may then
   * deliver the gradient of that input instead (see `Gradients.inputThroughActivation`).
   */
  preActivation: Span | undefined;

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
export type ParameterOptions = Omit<TensorOptions, "requiresGradient">;

/** A trained tensor. Its name is its key in checkpoints; its span may be a shard. */
export class Parameter extends Tensor {
  #gradient: Span | undefined;

  constructor(options: ParameterOptions) {
    super({ ...options, requiresGradient: true });
  }

  /**
   * Where the backward pass adds this parameter's gradient.
   *
   * @throws {TypeError} If none was allocated: the model was built for inference.
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
