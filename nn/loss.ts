import type { Tensor } from "./tensor.ts";

/** A loss with one value per row; a step divides the sum over the global batch by the number of counted rows. */
export interface Loss {
  /** [rows]: value of each row; 0 where the target is masked. */
  readonly rows: Tensor;
  /** i32 [rows]: negative where a row is masked. */
  readonly targets: Tensor;
  /**
   * What each row's gradient is multiplied with; 1 / (counted rows of the global batch). Read by the forward pass.
   */
  scale: number;
}

/** The loss of kernel arguments that hold its scale. */
export function lossOf(rows: Tensor, targets: Tensor, args: { scale: number }): Loss {
  return {
    rows,
    targets,
    get scale() {
      return args.scale;
    },
    set scale(value: number) {
      args.scale = value;
    },
  };
}

/** How the choices of tokens spread over the experts of a layer, in the last forward pass of a tape. */
export interface ExpertLoad {
  /** Choices that each expert worked on. */
  readonly kept: readonly number[];
  /** Choices of each expert that came when it was full: these tokens pass by on the residual stream. */
  readonly dropped: readonly number[];
}

/**
 * A loss beside the main one: the load loss of a layer of experts. Its gradient joins in the backward pass, its value is
 * reported apart. A step divides the sum over the global batch by the same number of rows as that of the main loss.
 */
export interface AuxiliaryLoss {
  /** Of the router. */
  readonly name: string;
  /** [units]: value of each unit, summed over its tokens, coefficient included. */
  readonly rows: Tensor;
  /** Reads what the last forward pass counted. */
  load(): ExpertLoad;
}
