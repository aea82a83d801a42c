import type { SumTree } from "../kernels/mod.ts";

/** How the sums over a dim of a parameter are cut, so that devices that share the parameter out add up alike. */
export interface SumChunks {
  /** The dim, 0 or 1; {@link OF_HEADS} of a parameter that is applied to each head. */
  readonly dim: number;
  /** Over the indices of this device's part, or over its heads. */
  readonly tree: SumTree;
}

/** In place of a dim: sums over the heads that a parameter is applied to. */
export const OF_HEADS: number = -1;

/** The tree of sums over a dim of a parameter; undefined where they are one chain. */
export function chunkTree(
  { sumChunks }: { readonly sumChunks: SumChunks | undefined },
  dim: number,
): SumTree | undefined {
  return sumChunks?.dim === dim ? sumChunks.tree : undefined;
}
