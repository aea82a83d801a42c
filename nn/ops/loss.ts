import { type Backend, onnx, readElements } from "../../kernels/mod.ts";
import { type Loss, lossOf } from "../loss.ts";
import type { Tape } from "../tape.ts";
import { asMatrix } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Steps of a nat that losses are rounded to before they are summed: sums of them are exact, in any order. */
const LOSS_STEPS = 2 ** 24;

/** Sum of the rows of a loss, to 2^-24 nats each: devices may add theirs up in any order. */
export function sumLoss({ heap }: Backend, loss: Loss): number {
  let steps = 0;
  for (const row of readElements(heap, loss.rows.span)) steps += Math.round(row * LOSS_STEPS);
  return steps / LOSS_STEPS;
}

/**
 * Cross-entropy of logits with target classes, in nats, fused with its gradient.
 *
 * The forward pass replaces the logits by their gradient when the tape is training: no second V-wide tensor.
 *
 * Shapes: logits [..., V], targets i32 [...] (negative = masked), result rows [...].
 */
export function crossEntropy(tape: Tape, logits: Tensor, targets: Tensor): Loss {
  const spread = tape.placement.spreadCrossEntropy?.(tape, logits, targets);
  if (spread !== undefined) return tieScale(tape, spread);
  const backend = tape.backend, { rows, cols } = asMatrix(logits.shape);
  const out = tape.output("loss", [rows], [logits], "f32");
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
    lower: (lowering) => lowerCrossEntropy(lowering.valueOf(logits), lowering.valueOf(targets)),
  });
  return tieScale(tape, lossOf(out, targets, args));
}

/** The loss of each row, [rows]: the logarithm of the sum of exponentials, less the logit of the target. */
function lowerCrossEntropy(logits: onnx.Value, targets: onnx.Value): onnx.Value {
  const classes = onnx.numberOf(logits.shape.at(-1)!), { graph } = logits;
  const rows = onnx.reshape(logits, [-1, classes]), ids = onnx.reshape(targets, [-1]);
  const shifted = onnx.sub(rows, onnx.reduce("ReduceMax", rows, [-1]));
  const logSum = onnx.unary("Log", onnx.reduce("ReduceSum", onnx.unary("Exp", shifted), [-1], false));
  const chosen = onnx.reduce("ReduceSum", onnx.mul(shifted, onnx.oneHot(ids, classes)), [-1], false);
  const isCounted = onnx.compare("GreaterOrEqual", ids, graph.constant("zero", [], Int32Array.of(0)));
  return onnx.mul(onnx.sub(logSum, chosen), onnx.cast(isCounted, "f32"));
}

/** The loss, whose scale is that of the auxiliary losses of its tape too. */
function tieScale(tape: Tape, loss: Loss): Loss {
  tape.lossScale = loss.scale;
  return {
    rows: loss.rows,
    targets: loss.targets,
    get scale() {
      return loss.scale;
    },
    set scale(value: number) {
      loss.scale = tape.lossScale = value;
    },
  };
}
