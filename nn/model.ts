import type { Loss } from "./ops/loss.ts";
import type { Scope } from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** What a training job needs of a model: how a batch becomes a loss. */
export interface Model {
  /** Records the forward pass of a batch. Control flow may depend on shapes, not on values. */
  loss(tape: Tape, inputs: Tensor, targets: Tensor): Loss;
}

/** The default export of a model module: builds the model's layers; every device calls it. */
export type BuildModel<Config = unknown> = (scope: Scope, config: Config) => Model;

/**
 * Which model to build, as plain data that can be sent to a device: the URL of a module whose default export is a
 * {@link BuildModel}, and its configuration.
 */
export interface ModelSpec {
  readonly module: string;
  readonly config: unknown;
}
