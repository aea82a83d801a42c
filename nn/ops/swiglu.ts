import { SWIGLU, SWIGLU_BACKWARD } from "../../kernels/mod.ts";
import { asMatrix, formatShape } from "../shape.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";

/**
 * `out = silu(gate) * up`, element by element.
 *
 * Shapes: gate, up and result [..., C].
 * Source: Shazeer, GLU Variants Improve Transformer, 2020, equation 6.
 *
 * @throws {RangeError} If the shapes differ.
 */
export function swiglu(tape: Tape, gate: Tensor, up: Tensor): Tensor {
  if (formatShape(gate.shape) !== formatShape(up.shape)) {
    throw new RangeError(
      `Cannot gate ${up.name} ${formatShape(up.shape)} by ${gate.name} ${
        formatShape(gate.shape)
      }: shapes must be equal`,
    );
  }
  const { backend } = tape,
    { rows, cols } = asMatrix(gate.shape),
    out = tape.output("swiglu", gate.shape, [gate, up]);
  const shared = { rows, cols, gate: gate.span, up: up.span }, args = { ...shared, out: out.span };
  return tape.record({
    name: "swiglu",
    inputs: [gate, up],
    output: out,
    forward: () => backend.row(SWIGLU, args),
    backward: (gradients) => {
      const dOut = gradients.output(out), toGate = gradients.inputOverwritten(gate);
      const toUp = gradients.inputOverwritten(up);
      if (toGate === undefined && toUp === undefined) return {};
      // A gradient that nobody wants takes the place of dOut, which nobody reads afterwards.
      const dGate = toGate?.span ?? dOut, dUp = toUp?.span ?? dOut;
      const gradient = { ...shared, dOut, dGate, dUp };
      return {
        input: () => {
          backend.row(SWIGLU_BACKWARD, gradient);
          toGate?.after?.();
          toUp?.after?.();
        },
      };
    },
    lower: (lowering) => SWIGLU.lower({ gate: lowering.valueOf(gate), up: lowering.valueOf(up) }),
  });
}
