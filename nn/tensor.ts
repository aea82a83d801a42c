import type { DType, Span } from "../kernels/mod.ts";

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
export interface ParameterOptions {
  readonly name: string;
  readonly shape: Shape;
  readonly span: Span;
  readonly gradient: Span;
}

/** A trained tensor. Its name is its key in checkpoints; its span may be a shard. */
export class Parameter extends Tensor {
  /** Where the backward pass adds this parameter's gradient. */
  readonly gradient: Span;

  constructor(options: ParameterOptions) {
    super({ ...options, requiresGradient: true });
    this.gradient = options.gradient;
  }

  /** Weight decay applies to tensors of two or more dims, not to biases and gains. */
  get isDecayed(): boolean {
    return this.shape.length >= 2;
  }
}
