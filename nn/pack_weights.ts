import type { Backend } from "../kernels/mod.ts";
import { chunkTree } from "./sum_chunks.ts";
import type { Parameter } from "./tensor.ts";

/**
 * Rearranges weights of linear layers as the backend's products read them fastest, for a model that is only run: nothing
 * else may read them afterwards. Results have the same bits.
 *
 * Cost: a pass over the weights.
 */
export function packWeights(backend: Backend, parameters: readonly Parameter[]): void {
  for (const parameter of parameters) {
    const { use, packing, shape: [outputs, inputs] } = parameter;
    // A product over a tree of sums reads the rows of a weight, as lookups do.
    if (
      use?.inputsDim !== 1 || use.of === "table" || packing !== undefined ||
      chunkTree(parameter, 1) !== undefined
    ) {
      continue;
    }
    if (backend.packWeight?.(parameter.span, outputs, inputs)) parameter.packing = "f32";
  }
}
