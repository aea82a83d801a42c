import { type Backend, type DeviceHeap, readElements, type Span } from "../kernels/mod.ts";
import type { Parameter } from "./tensor.ts";

/** Hyper-parameters of AdamW. */
export interface AdamWConfig {
  /** Decay of the first moment per step, below 1. */
  readonly beta1: number;
  /** Decay of the second moment per step, below 1. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Decoupled; applied to tensors of two or more dims. */
  readonly weightDecay: number;
  /** Weights of two or more dims that are zero before the first update stay zero, as those of a pruned model. */
  readonly keepsZeros?: boolean;
}

/** What an optimizer updates: a parameter, or a run of its elements. */
export interface OptimizerTarget {
  /** Of the parameter. */
  readonly name: string;
  /** Values. */
  readonly span: Span;
  /** As many elements as `span`. */
  readonly gradient: Span;
  /** Whether weight decay applies. */
  readonly isDecayed: boolean;
}

/** What the optimizer keeps of one parameter. */
export interface Moments {
  /** Running mean of the gradient. */
  readonly m: Span;
  /** Running mean of its square. */
  readonly v: Span;
  /** The values as float32, if the parameter is stored as bf16. */
  readonly master: Span | undefined;
}

/** AdamW on the parameters (or shards) of one device. */
export class AdamW {
  readonly #backend: Backend;
  /** Hyper-parameters. */
  readonly config: AdamWConfig;
  readonly #moments = new Map<OptimizerTarget, Moments>();

  /** Of each weight that keeps its zeros: 0 where it is zero, else 1. Filled before the first update. */
  readonly #masks = new Map<OptimizerTarget, Span>();
  #hasMasks = false;

  /**
   * Allocates zeroed moments for each target: 8 bytes an element; 4 more for a master that begins at its values, and for
   * what says which weights stay zero.
   */
  constructor(backend: Backend, targets: readonly OptimizerTarget[], config: AdamWConfig) {
    this.#backend = backend;
    this.config = config;
    for (const parameter of targets) {
      const m = allocateMoment(backend.heap, `first moment of ${parameter.name}`, parameter.span.length);
      const v = allocateMoment(backend.heap, `second moment of ${parameter.name}`, parameter.span.length);
      const master = parameter.span.dtype === "f32"
        ? undefined
        : allocateMoment(backend.heap, `master of ${parameter.name}`, parameter.span.length);
      if (backend.heap.memory !== undefined) {
        backend.fill(0, m);
        backend.fill(0, v);
        if (master !== undefined) backend.copy(parameter.span, master);
      }
      this.#moments.set(parameter, { m, v, master });
      if (!config.keepsZeros || !parameter.isDecayed) continue;
      this.#masks.set(
        parameter,
        allocateMoment(backend.heap, `zeros of ${parameter.name}`, parameter.span.length),
      );
    }
  }

  /** The moments, and masters if there are, by parameter: what a checkpoint saves. */
  get moments(): ReadonlyMap<OptimizerTarget, Moments> {
    return this.#moments;
  }

  /**
   * Updates every parameter from its gradient.
   *
   * @param step Number of the update, from 1: corrects the moments' bias.
   * @param gradientScale Multiplies gradients first: clipping.
   */
  update(step: number, learningRate: number, gradientScale: number): void {
    const { beta1, beta2, epsilon, weightDecay } = this.config;
    const correction1 = 1 - beta1 ** step, correction2 = 1 - beta2 ** step;
    this.#maskGradients();
    for (const [parameter, { m, v, master }] of this.#moments) {
      this.#backend.adamw({
        ...{
          parameter: parameter.span,
          master,
          gradient: parameter.gradient,
          m,
          v,
          learningRate,
          beta1,
          beta2,
          epsilon,
        },
        ...{ weightDecay: parameter.isDecayed ? weightDecay : 0, correction1, correction2, gradientScale },
      });
    }
  }

  /** Without a gradient and moments, and with nothing to decay, a zero is updated to zero. */
  #maskGradients(): void {
    const backend = this.#backend, { heap } = backend;
    for (const [{ span, gradient }, mask] of this.#masks) {
      if (!this.#hasMasks) {
        const isKept = Float32Array.from(readElements(heap, span), (value) => value === 0 ? 0 : 1);
        heap.f32(mask).set(isKept);
      }
      backend.binary({ op: "mul", a: gradient, b: mask, out: gradient });
    }
    this.#hasMasks = true;
  }
}

/** Factor that brings gradients of L2 norm `norm` down to `clip`; 1 if clipping is off (`clip` 0). */
export function clipFactor(norm: number, clip: number): number {
  return clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1;
}

/** L2 norm over the gradients of all parameters, squares summed in float64. */
export function gradientNorm(backend: Backend, parameters: readonly Parameter[]): number {
  let sum = 0;
  for (const parameter of parameters) sum += backend.sumSquares(parameter.gradient);
  return Math.sqrt(sum);
}

function allocateMoment(heap: DeviceHeap, name: string, length: number): Span {
  return heap.allocate(name, length, "optimizer");
}
