import type { Source } from "../../data/mod.ts";
import { createBackend, phantomHeap } from "../../kernels/mod.ts";
import type { ModelParts } from "../../models/mod.ts";
import { Scope, type Shape, type Sharding, Tape } from "../../nn/mod.ts";

/**
 * Shapes of what each layer returns for `size` samples, found by recording the model without memory.
 *
 * @param sharding Changes shapes inside layers and, under sequence parallelism, between them.
 */
export function traceShapes(
  parts: ModelParts,
  source: Source,
  size: number,
  sharding: Sharding | undefined,
): Shape[] {
  const heap = phantomHeap(), scope = Scope.of({ heap, seed: 0, sharding });
  const tape = new Tape({ backend: createBackend("reference", heap), training: false });
  parts.setTargets(tape.input("targets", [size, ...source.targetShape], "i32"));
  let x = tape.input("inputs", [size, ...source.inputShape], source.inputDType);
  return parts.layers.map((layer) => {
    x = layer.build(scope).forward(tape, x);
    return x.shape;
  });
}
