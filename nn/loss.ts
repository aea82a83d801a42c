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
