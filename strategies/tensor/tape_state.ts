import type { Shape, Tensor } from "../../nn/mod.ts";
import type { ClassRange } from "./vocab_parallel.ts";

/** What is known of a tape. */
export interface TapeState {
  /** Dims that count the rows, of which this rank holds a chunk between layers; undefined while it holds all. */
  tokens?: Shape;
  /** Inputs of split layers that were made whole already. */
  readonly whole: Map<Tensor, Tensor>;
  /** Logits of spread classes, by where they lie: a reshaped tensor lies there too. */
  readonly heads: Map<
    number,
    { readonly label: string; readonly range: ClassRange; readonly chunks: number }
  >;
}
