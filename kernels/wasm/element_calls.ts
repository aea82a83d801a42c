/**
 * Calls of kernels of single elements, whose arguments are checked before.
 */
import type { UnaryBackwardArgs } from "../arguments/product_arguments.ts";
import type { UnaryOp } from "../backend.ts";
import type { Kernels } from "./builder.ts";

/** Names of the backward kernels; joining strings for each call would make garbage. */
const BACKWARD: Record<UnaryOp, { set: string; add: string }> = {
  gelu: { set: "geluBackward", add: "geluBackwardAdd" },
  geluErf: { set: "geluErfBackward", add: "geluErfBackwardAdd" },
  relu: { set: "reluBackward", add: "reluBackwardAdd" },
  tanh: { set: "tanhBackward", add: "tanhBackwardAdd" },
  exp: { set: "expBackward", add: "expBackwardAdd" },
  log: { set: "logBackward", add: "logBackwardAdd" },
  square: { set: "squareBackward", add: "squareBackwardAdd" },
};

/** Calls the backward kernel that the arguments ask for. */
export function runUnaryBackward(kernels: Kernels, { op, x, dOut, dX, accumulate }: UnaryBackwardArgs): void {
  const names = BACKWARD[op];
  kernels[accumulate ? names.add : names.set](x.byteOffset, dOut.byteOffset, dX.byteOffset, x.length);
}
