import type { Tape, Tensor } from "../../../nn/mod.ts";

/** Appends `sum of weight * out` as the root of the backward pass. */
export function rootOf(tape: Tape, out: Tensor, weights: Float32Array): Tensor {
  const { heap } = tape.backend;
  return tape.record({
    name: "weighted sum",
    inputs: [out],
    output: tape.output("weighted sum", [1], [out]),
    isRoot: true,
    forward: () => {},
    backward: (gradients) => {
      const target = gradients.input(out)!;
      return { input: () => heap.f32(target.span).set(weights) };
    },
  });
}
