import type { Backend } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import { asMatrix, type Tensor } from "../tensor.ts";

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

/** Sum of the rows of a loss, in float64. */
export function sumLoss(backend: Backend, loss: Loss): number {
  return backend.sum(loss.rows.span);
}

/**
 * Cross-entropy of logits with target classes, in nats, fused with its gradient.
 *
 * The forward pass replaces the logits by their gradient when the tape is training: no second V-wide tensor.
 *
 * Shapes: logits [..., V], targets i32 [...] (negative = masked), result rows [...].
 */
export function crossEntropy(tape: Tape, logits: Tensor, targets: Tensor): Loss {
  const backend = tape.backend, { rows, cols } = asMatrix(logits.shape);
  const out = tape.output("loss", [rows], [logits]);
  const dLogits = out.requiresGradient ? logits.span : undefined;
  const args = {
    ...{ rows, cols, logits: logits.span, targets: targets.span, losses: out.span, dLogits },
    scale: 1 / rows,
  };
  tape.record({
    name: "crossEntropy",
    inputs: [logits],
    output: out,
    isRoot: true,
    forward: () => backend.crossEntropy(args),
    backward: (gradients) => {
      gradients.provide(logits, logits.span);
      return {};
    },
  });
  return {
    rows: out,
    targets,
    get scale() {
      return args.scale;
    },
    set scale(value: number) {
      args.scale = value;
    },
  };
}
