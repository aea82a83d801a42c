import {
  type DeviceHeap,
  numElements,
  panelBytes,
  type Span,
  type WeightFormat,
  writeElements,
} from "../kernels/mod.ts";
import type { AttentionInputs } from "./ops/attention_inputs.ts";
import type { SumChunks } from "./sum_chunks.ts";
import { RandomStream } from "./random.ts";
import { eachRun, type Shard, shardShape } from "./shard.ts";
import type { Tape } from "./tape.ts";
import { type Shape } from "./shape.ts";
import { Parameter, type ParameterUse, type Tensor } from "./tensor.ts";

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

/** Records causal self-attention. Shapes: q [B, T, H D], k and v [B, T, G D], result [B, T, H D]. */
export type Attend = (tape: Tape, inputs: AttentionInputs) => Tensor;

/** What a strategy puts around a layer: custom tape entries, mirrored in the backward pass. */
export interface LayerHooks {
  /** Before the layer; "f" of a column-parallel layer. */
  readonly input?: (tape: Tape, x: Tensor) => Tensor;
  /** After its product, before bias and residual; "g" of a row-parallel layer. */
  readonly output?: (tape: Tape, y: Tensor) => Tensor;
  /** After all of the layer, which makes logits: to know them again when their loss is computed. */
  readonly result?: (tape: Tape, y: Tensor) => Tensor;
  /** Of a layer of attention: computes it, as `attend` does, where a device holds parts of the sequences. */
  readonly attend?: Attend;
  /** Of a layer of experts: which of them are here, and how tokens reach the others. */
  readonly experts?: ExpertHooks;
}

/** How a strategy spreads the experts of a layer. The rows of an expert are those of units of tokens, in their order. */
export interface ExpertHooks {
  /** Indices of the experts that this device holds, ascending. */
  readonly held: readonly number[];
  /**
   * Rows of this device's tokens for all experts [experts, units, capacity, C] become those of all devices' tokens for
   * the held experts [held, units of all devices, capacity, C].
   */
  dispatch(tape: Tape, rows: Tensor): Tensor;
  /** The way back, of the experts' results. */
  combine(tape: Tape, rows: Tensor): Tensor;
}

/** How a strategy spreads a model; without one every device holds all of every parameter. */
export interface Sharding {
  /** The part of a parameter that this device holds; undefined = all. */
  shard(name: string, shape: Shape): Shard | undefined;
  /** What stands around the layer at a path. */
  hooks(path: string): LayerHooks | undefined;
  /** In exact numerics, how sums over a dim of a parameter that some layout splits are cut. */
  sumChunks?(name: string, shape: Shape): SumChunks | undefined;
}

/** Which parameters of a model are trained, and which layers have adapters; without one all are, and none has. */
export interface Tuning {
  /** Whether the parameter of that full name is trained. */
  isTrained(name: string): boolean;
  /** The adapter of a linear layer. */
  adapterOf(layer: LinearSite): AdapterSize | undefined;
}

/** A linear layer of a model, which may have an adapter. */
export interface LinearSite {
  /** Full name of the layer. */
  readonly path: string;
  /** Full name of its weight, which may be that of another layer, too. */
  readonly weight: string;
  /** Length of the last dim of what goes in. */
  readonly inputs: number;
  /** Length of the last dim of what comes out. */
  readonly outputs: number;
  /** The weight is [outputs, inputs]; otherwise [inputs, outputs]. */
  readonly outputsFirst: boolean;
}

/** Size of a low-rank adapter. */
export interface AdapterSize {
  /** Rows between its two weights. */
  readonly rank: number;
  /** What its result is multiplied by. */
  readonly scale: number;
}

/** How a model is built on a device. */
export interface ScopeOptions {
  /** Where the model lives; a phantom heap builds a model that only has sizes. */
  readonly heap: DeviceHeap;
  /**
   * Of the initial values, of all parameters or of each by its name; undefined leaves the memory as it is, for values that
   * are loaded.
   */
  readonly seed: number | undefined | ((name: string) => number | undefined);
  /** Which parts of the parameters this device holds. */
  readonly sharding?: Sharding;
  /** What is trained. */
  readonly tuning?: Tuning;
  /** Format of a parameter that only these read, by the shape that it has here; by default f32. */
  readonly formatOf?: (name: string, use: ParameterUse, shape: Shape) => WeightFormat | undefined;
  /** Gives the memory of a parameter; by default a span of its own on the heap. */
  readonly allocate?: (name: string, length: number) => Span;
  /**
   * In exact numerics: gives the memory of a parameter that a further layer uses; its gradient is apart from that of the
   * first use, as it would be if the layers were on different devices. By default both uses have one gradient.
   */
  readonly useAgain?: (known: Parameter) => Span;
}

/** What all scopes of one model share. */
interface ModelState extends ScopeOptions {
  readonly parameters: Parameter[];
  /** Full names that were asked for by `shared`, in order. */
  readonly sharedRequests: string[];
  readonly furtherUses: Parameter[];
}

/** Names and allocates the parameters of a model; layers take one and make children of it. */
export class Scope {
  readonly #state: ModelState;
  /** Names from the root to here, joined by dots; empty at the root. */
  readonly path: string;

  private constructor(state: ModelState, path: string) {
    this.#state = state;
    this.path = path;
  }

  /** The scope of a new model on a device, which may hold shards of it. */
  static root(heap: DeviceHeap, seed: number, sharding?: Sharding): Scope {
    return Scope.of({ heap, seed, sharding });
  }

  /** The scope of a new model, with a strategy's say in where its parameters lie. */
  static of(options: ScopeOptions): Scope {
    return new Scope({ ...options, parameters: [], sharedRequests: [], furtherUses: [] }, "");
  }

  /** Full names of parameters that were asked for as shared, once per request, in order. */
  get sharedRequests(): readonly string[] {
    return this.#state.sharedRequests;
  }

  /** Parameters as further layers use them, with gradients of their own; see {@link ScopeOptions}. */
  get furtherUses(): readonly Parameter[] {
    return this.#state.furtherUses;
  }

  /** What a strategy puts around the layer of this scope. */
  get hooks(): LayerHooks | undefined {
    return this.#state.sharding?.hooks(this.path);
  }

  /** The same place of the same model, with a say in what is trained below it. */
  tuned(tuning: Tuning | undefined): Scope {
    return tuning === undefined ? this : new Scope({ ...this.#state, tuning }, this.path);
  }

  /** The adapter of the linear layer of this scope. */
  adapterOf(layer: Omit<LinearSite, "path">): AdapterSize | undefined {
    return this.#state.tuning?.adapterOf({ ...layer, path: this.path });
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
   * Makes a parameter (or this device's shard of it) and fills it; values depend on (seed, full name, element) only.
   *
   * @param use What reads it; by default anything.
   * @throws {TypeError} If the model already has a parameter of that name.
   */
  parameter(name: string, shape: Shape, initialize: Initializer, use?: ParameterUse): Parameter {
    const { heap, parameters, sharding, allocate, tuning } = this.#state, fullName = this.#join(name);
    if (parameters.some((p) => p.name === fullName)) {
      throw new TypeError(`Cannot make parameter ${fullName} as the model already has one of that name`);
    }
    const shard = sharding?.shard(fullName, shape), localShape = shardShape(shape, shard);
    const length = numElements(localShape);
    const seed = this.#seedOf(fullName);
    const packing = use && this.#state.formatOf?.(fullName, use, localShape);
    const span = packing === undefined
      ? allocate?.(fullName, length) ?? heap.allocate(fullName, length, "parameters")
      : allocatePanels(heap, fullName, packing, dimsOf(localShape, use!));
    if (heap.memory !== undefined && seed !== undefined) {
      const stream = new RandomStream(seed, fullName);
      const values = span.dtype === "f32" ? heap.f32(span) : new Float32Array(length);
      eachRun(shape, shard, (local, global, count) => {
        for (let i = 0; i < count; i++) values[local + i] = initialize(stream, global + i);
      });
      if (span.dtype !== "f32") writeElements(heap, span, values);
    }
    const sumChunks = sharding?.sumChunks?.(fullName, shape);
    const parameter = new Parameter({
      ...{ name: fullName, shape: localShape, span },
      ...{ globalShape: shape, shard, sumChunks, isTrained: tuning?.isTrained(fullName), use, packing },
    });
    parameters.push(parameter);
    return parameter;
  }

  /**
   * The parameter of that full name if this device has made it, otherwise a copy of its own with the same start: for
   * weights that two layers share, which may lie on different devices.
   */
  shared(fullName: string, shape: Shape, initialize: Initializer, use?: ParameterUse): Parameter {
    this.#state.sharedRequests.push(fullName);
    const known = this.#state.parameters.find((p) => p.name === fullName), { useAgain } = this.#state;
    if (known === undefined) return new Scope(this.#state, "").parameter(fullName, shape, initialize, use);
    if (useAgain === undefined || !known.isTrained) return known;
    const furtherUse = new Parameter({ ...known, span: useAgain(known) });
    this.#state.furtherUses.push(furtherUse);
    return furtherUse;
  }

  #seedOf(name: string): number | undefined {
    const { seed } = this.#state;
    return typeof seed === "function" ? seed(name) : seed;
  }

  #join(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}

/** Outputs and inputs of a weight. */
function dimsOf(
  shape: Shape,
  { inputsDim }: ParameterUse,
): { readonly outputs: number; readonly inputs: number } {
  return { outputs: shape[1 - inputsDim], inputs: shape[inputsDim] };
}

function allocatePanels(
  heap: DeviceHeap,
  name: string,
  format: WeightFormat,
  { outputs, inputs }: { readonly outputs: number; readonly inputs: number },
): Span {
  return heap.allocate(name, panelBytes(format, outputs, inputs) / 4, "parameters", "i32");
}
