import type { Loss } from "./loss.ts";
import type { AdapterSize, Attend, Scope } from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** What a training job needs of a model: how a batch becomes a loss. */
export interface Model {
  /** Records the forward pass of a batch. Control flow may depend on shapes, not on values. */
  loss(tape: Tape, inputs: Tensor, targets: Tensor): Loss;
}

/** Keys and values that a layer of attention has seen, of one sequence or of many. */
export interface TokenCache {
  /** Attends to them, and to those of the new tokens, which it keeps. */
  readonly attend: Attend;
}

/** A layer of a model that is a sequence of layers. */
export interface Layer {
  /** Records the pass of the layer; the first layer gets the batch, each next one what the one before returns. */
  forward(tape: Tape, x: Tensor): Tensor;
}

/** A layer with attention: of type "block", in a family that generates. */
export interface CachedLayer extends Layer {
  /**
   * Records the pass of the layer.
   *
   * @param cache In inference: what is attended with, in place of the batch itself.
   */
  forward(tape: Tape, x: Tensor, cache?: TokenCache): Tensor;
}

/** A layer that is not built yet: what a pipeline needs to know to cut a model into stages. */
export interface LayerFactory {
  /** Unique in the model. */
  readonly name: string;
  /** Kind of layer, such as "block": `--partition type:REGEX` deals out layers by it. */
  readonly type: string;
  /** Under `--recompute full` only the input of the layer is kept. */
  readonly isRecomputable?: boolean;
  /** Builds the layer; the scope is that of the whole model. */
  build(scope: Scope): Layer;
}

/** The default export of a model module, unless it is a model family: builds the whole model; every device calls it. */
export type BuildModel<Config = unknown> = (scope: Scope, config: Config) => Model;

/**
 * Which model to build, as plain data that can be sent to a device: the URL of a module whose default export is a
 * {@link BuildModel} or a model family, and its configuration.
 */
export interface ModelSpec {
  /** URL of the module; relative ones are resolved where the worker's code lies, so use `import.meta.resolve`. */
  readonly module: string;
  /** Handed to what builds the model: plain data. */
  readonly config: unknown;
  /** What of it is trained; by default all. */
  readonly tuning?: TuningSpec;
}

/** Which parameters are trained, and which layers have adapters, as plain data. */
export interface TuningSpec {
  /** A regular expression: parameters in whose full names it is found are trained. By default all, or only adapters. */
  readonly trained?: string;
  /** Adapters by the full names of linear layers. */
  readonly adapters?: Readonly<Record<string, AdapterSize>>;
}
