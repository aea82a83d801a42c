/**
 * SwiGLU: `out = silu(gate) * up` for each element, with `silu(x) = x / (1 + e^-x)`.
 *
 * Source: Shazeer, GLU Variants Improve Transformer, 2020, equation 6.
 *
 * @module
 */
import * as onnx from "../onnx/ops.ts";
import type { Span } from "../memory/span.ts";
import { sigmoid as logistic } from "../reference/math.ts";
import { sigmoid } from "../wasm/math.ts";
import { RowKernel, type RowSizes } from "./kernel.ts";

/** `out = silu(gate) * up`. */
export interface SwigluArgs extends RowSizes {
  /** [rows, cols]. */
  readonly gate: Span;
  /** [rows, cols]. */
  readonly up: Span;
  /** [rows, cols]; may be `gate` or `up`. */
  readonly out: Span;
}

/** `dGate = dOut * up * silu'(gate)`, `dUp = dOut * silu(gate)`. */
export interface SwigluBackwardArgs extends RowSizes {
  /** [rows, cols]: as in the forward pass. */
  readonly gate: Span;
  /** [rows, cols]: as in the forward pass. */
  readonly up: Span;
  /** [rows, cols]: gradient of the result. */
  readonly dOut: Span;
  /** [rows, cols], overwritten; may be `dOut`. */
  readonly dGate: Span;
  /** [rows, cols], overwritten. */
  readonly dUp: Span;
}

/** A gated unit. One pass, one exponential per element. */
export const SWIGLU: RowKernel<SwigluArgs, "out"> = new RowKernel({
  name: "swiglu",
  operands: {
    gate: ["in", "[rows, cols]"],
    up: ["in", "[rows, cols]"],
    out: ["out", "[rows, cols]"],
  },
  inPlace: ["out", "gate"],
  reference({ gate, up, out }) {
    gate.forEach((x, c) => out[c] = x * logistic(x) * up[c]);
  },
  emit: (k, { cols, gate, up, out }) => () => {
    k.vectors(cols, (v) => {
      const x = k.let(v.load(gate));
      v.store(out, x.mul(sigmoid(k, x)).mul(v.load(up)));
    }, { isLong: true });
  },
  lower: ({ gate, up }) => onnx.mul(onnx.mul(gate, onnx.unary("Sigmoid", gate)), up),
  // The sigmoid is below 3/4 and off by 2.5 ulp; two products.
  error: () => ({ out: 8 }),
});

/** With s the sigmoid of the gate: `silu' = s + gate s (1 - s)`. One pass, one exponential per element. */
export const SWIGLU_BACKWARD: RowKernel<SwigluBackwardArgs, "dGate" | "dUp"> = new RowKernel({
  name: "swigluBackward",
  operands: {
    gate: ["in", "[rows, cols]"],
    up: ["in", "[rows, cols]"],
    dOut: ["in", "[rows, cols]"],
    dGate: ["out", "[rows, cols]"],
    dUp: ["out", "[rows, cols]"],
  },
  inPlace: ["dGate", "dOut"],
  reference({ gate, up, dOut, dGate, dUp }) {
    dOut.forEach((d, c) => {
      const x = gate[c], s = logistic(x);
      dUp[c] = d * x * s;
      dGate[c] = d * up[c] * s * (1 + x * (1 - s));
    });
  },
  emit: (k, { cols, gate, up, dOut, dGate, dUp }) => () => {
    k.vectors(cols, (v) => {
      const x = k.let(v.load(gate)), s = k.let(sigmoid(k, x)), d = k.let(v.load(dOut));
      const silu = k.let(x.mul(s)), slope = silu.nmadd(s, s.add(silu));
      v.store(dUp, d.mul(silu));
      v.store(dGate, d.mul(v.load(up)).mul(slope));
    }, { isLong: true });
  },
  // The slope is a sum of terms below 1.
  error: () => ({ dGate: 20, dUp: 8 }),
});
