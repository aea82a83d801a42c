import { numElements, onnx, type UnaryOp } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import { formatShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/** Applies a function to each element. Backward: `dX = dOut * f'(x)`. */
export function unary(tape: Tape, op: UnaryOp, x: Tensor): Tensor {
  const backend = tape.backend, out = tape.output(op, x.shape, [x]);
  const args = { op, x: x.span, out: out.span };
  return tape.record({
    name: op,
    inputs: [x],
    output: out,
    forward: () => backend.unary(args),
    backward: (gradients) => {
      const target = gradients.input(x);
      if (target === undefined) return {};
      const gradient = {
        op,
        x: x.span,
        dOut: gradients.output(out),
        dX: target.span,
        accumulate: target.accumulate,
      };
      return { input: () => backend.unaryBackward(gradient) };
    },
    lower: (lowering) => LOWER_UNARY[op](lowering.valueOf(x)),
  });
}

const LOWER_UNARY: Readonly<Record<UnaryOp, (x: onnx.Value) => onnx.Value>> = {
  gelu: onnx.gelu,
  geluErf: onnx.geluErf,
  relu: (x) => onnx.unary("Relu", x),
  tanh: (x) => onnx.unary("Tanh", x),
  exp: (x) => onnx.unary("Exp", x),
  log: (x) => onnx.unary("Log", x),
  square: (x) => onnx.mul(x, x),
};

/** Gaussian error linear unit, tanh form (Hendrycks and Gimpel 2016). */
export function gelu(tape: Tape, x: Tensor): Tensor {
  return unary(tape, "gelu", x);
}

/** Gaussian error linear unit with erf: `x Phi(x)` (Hendrycks and Gimpel 2016). */
export function geluErf(tape: Tape, x: Tensor): Tensor {
  return unary(tape, "geluErf", x);
}

/** `max(x, 0)`. */
export function relu(tape: Tape, x: Tensor): Tensor {
  return unary(tape, "relu", x);
}

/** Hyperbolic tangent. */
export function tanh(tape: Tape, x: Tensor): Tensor {
  return unary(tape, "tanh", x);
}

/** `factor * x`. Backward: `dX = factor * dOut`. */
export function scaled(tape: Tape, x: Tensor, factor: number): Tensor {
  const { backend } = tape, out = tape.output("scaled", x.shape, [x]);
  return tape.record({
    name: "scaled",
    inputs: [x],
    output: out,
    forward: () => {
      backend.copy(x.span, out.span);
      backend.scale(factor, out.span);
    },
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(x);
      if (target === undefined) return {};
      return {
        input: () => {
          backend.copy(dOut, target.span);
          backend.scale(factor, target.span);
          target.after?.();
        },
      };
    },
    lower: (lowering) => onnx.mul(lowering.valueOf(x), factor),
  });
}

/** `a + b`, equal shapes. Backward: `dA = dB = dOut`. */
export function add(tape: Tape, a: Tensor, b: Tensor): Tensor {
  checkEqualShapes("add", a, b);
  const backend = tape.backend, out = tape.output("add", a.shape, [a, b]);
  const args = { op: "add" as const, a: a.span, b: b.span, out: out.span };
  return tape.record({
    name: "add",
    inputs: [a, b],
    output: out,
    forward: () => backend.binary(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), toB = gradients.input(b);
      // b gets its own copy, so that a may share the block of dOut (unless both are the same tensor).
      const addToA = a === b ? undefined : gradients.pass(out, a);
      return {
        input: () => {
          addToA?.();
          if (toB?.accumulate) backend.axpy(a === b ? 2 : 1, dOut, toB.span);
          else if (toB !== undefined) {
            backend.copy(dOut, toB.span);
            if (a === b) backend.axpy(1, dOut, toB.span);
          }
        },
      };
    },
    lower: (lowering) => onnx.add(lowering.valueOf(a), lowering.valueOf(b)),
  });
}

/** `a * b` element by element, equal shapes. Backward: `dA = dOut * b`, `dB = dOut * a`. */
export function multiply(tape: Tape, a: Tensor, b: Tensor): Tensor {
  checkEqualShapes("multiply", a, b);
  const backend = tape.backend, out = tape.output("multiply", a.shape, [a, b]);
  const args = { op: "mul" as const, a: a.span, b: b.span, out: out.span };
  return tape.record({
    name: "multiply",
    inputs: [a, b],
    output: out,
    forward: () => backend.binary(args),
    backward: (gradients) => {
      const dOut = gradients.output(out);
      const deliveries = ([[a, b], [b, a]] as const).flatMap(([to, factor]) => {
        const target = gradients.inputOverwritten(to);
        if (target === undefined) return [];
        return [{
          product: { op: "mul" as const, a: dOut, b: factor.span, out: target.span },
          after: target.after,
        }];
      });
      return {
        input: () => {
          for (const { product, after } of deliveries) {
            backend.binary(product);
            after?.();
          }
        },
      };
    },
    lower: (lowering) => onnx.mul(lowering.valueOf(a), lowering.valueOf(b)),
  });
}

/** The same elements under another shape; shares the memory, so its gradient is the input's. */
export function reshape(tape: Tape, x: Tensor, shape: readonly number[]): Tensor {
  if (numElements(shape) !== numElements(x.shape)) {
    throw new RangeError(
      `Cannot reshape ${x.name} ${formatShape(x.shape)} to ${formatShape(shape)}: sizes differ`,
    );
  }
  const out = new Tensor({ name: x.name, shape, span: x.span, requiresGradient: x.requiresGradient });
  return tape.record({
    name: "reshape",
    inputs: [x],
    output: out,
    forward: () => {},
    backward: (gradients) => {
      return { input: gradients.pass(out, x, true) };
    },
    lower: (lowering) => {
      // Dims that stay are those of the graph, which may be free.
      const first = shape.findIndex((size, i) => size !== x.shape[i]),
        numKept = first < 0 ? shape.length : first;
      return onnx.reshape(lowering.valueOf(x), shape.map((size, i) => i < numKept ? 0 : size));
    },
  });
}

function checkEqualShapes(verb: string, a: Tensor, b: Tensor): void {
  if (formatShape(a.shape) === formatShape(b.shape)) return;
  throw new RangeError(
    `Cannot ${verb} ${a.name} ${formatShape(a.shape)} and ${b.name} ${
      formatShape(b.shape)
    }: shapes must be equal`,
  );
}
