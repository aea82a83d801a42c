import type { DeviceHeap } from "../kernels/mod.ts";
import { RandomStream } from "./random.ts";
import { numElements, Parameter, type Shape } from "./tensor.ts";

/** Starting value of a parameter, element by element; index counts the elements of the whole tensor. */
export type Initializer = (stream: RandomStream, index: number) => number;

/** All elements equal. */
export function constant(value: number): Initializer {
  return () => value;
}

/** Normal with mean 0. */
export function normal(standardDeviation: number): Initializer {
  return (stream, index) => standardDeviation * stream.normal(index);
}

/** Uniform in [-bound, bound). */
export function uniform(bound: number): Initializer {
  return (stream, index) => bound * (2 * stream.uniform(index) - 1);
}

/** What all scopes of one model share. */
interface ModelState {
  readonly heap: DeviceHeap;
  readonly seed: number;
  readonly parameters: Parameter[];
}

/** Names and allocates the parameters of a model; layers take one and make children of it. */
export class Scope {
  readonly #state: ModelState;
  readonly path: string;

  private constructor(state: ModelState, path: string) {
    this.#state = state;
    this.path = path;
  }

  /** The scope of a new model on a device. */
  static root(heap: DeviceHeap, seed: number): Scope {
    return new Scope({ heap, seed, parameters: [] }, "");
  }

  /** Parameters made so far in the whole model, in order of creation. */
  get parameters(): readonly Parameter[] {
    return this.#state.parameters;
  }

  /** The scope `path.name`. */
  child(name: string): Scope {
    return new Scope(this.#state, this.#join(name));
  }

  /**
   * Makes a parameter and fills it; values depend on (seed, full name, element) only.
   *
   * @throws {TypeError} If the model already has a parameter of that name.
   */
  parameter(name: string, shape: Shape, initialize: Initializer): Parameter {
    const { heap, seed, parameters } = this.#state, fullName = this.#join(name), length = numElements(shape);
    if (parameters.some((p) => p.name === fullName)) {
      throw new TypeError(`Cannot make parameter ${fullName} as the model already has one of that name`);
    }
    const span = heap.allocate(fullName, length, "parameters");
    if (heap.memory !== undefined) {
      const stream = new RandomStream(seed, fullName), values = heap.f32(span);
      for (let i = 0; i < length; i++) values[i] = initialize(stream, i);
    }
    const parameter = new Parameter({ name: fullName, shape, span });
    parameters.push(parameter);
    return parameter;
  }

  #join(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}
