import { type DType, onnx, type Span } from "../../kernels/mod.ts";
import type { BackwardPass } from "../entry.ts";
import { chunkTree } from "../sum_chunks.ts";
import type { Gradients } from "../gradients.ts";
import type { Tape } from "../tape.ts";
import { add, gelu } from "./elementwise.ts";
import { asMatrix, formatShape } from "../shape.ts";
import type { Parameter, Tensor } from "../tensor.ts";

/** What a linear layer adds to the product, and how its weight lies. */
export interface LinearOptions {
  /** The weight is [out, in], as `torch.nn.Linear` has it; by default [in, out], the Conv1D layout of GPT-2. */
  readonly outputsFirst?: boolean;
  /** [out]: added to every row. */
  readonly bias?: Parameter;
  /** Fused GELU (tanh form); needs a bias; not together with `residual`. */
  readonly activation?: "gelu";
  /** Added to the result: the residual stream. Same shape as the result. */
  readonly residual?: Tensor;
  /** Of the result; by default the type of activations. */
  readonly dtype?: DType;
  /** Of the op; by default that of the layer. */
  readonly name?: string;
}

/**
 * `out = activation(x weight + bias) + residual`.
 *
 * Backward: `dX = dOut weight^T`, `dWeight += x^T dOut`, `dBias += column sums of dOut`, `dResidual = dOut`.
 *
 * Shapes: x [..., in], weight [in, out] or, with `outputsFirst`, [out, in], bias [out], result [..., out].
 * Cost: 2 rows in out operations forward, twice that backward.
 *
 * @throws {RangeError} If the shapes do not fit.
 */
export function linear(tape: Tape, x: Tensor, weight: Parameter, options: LinearOptions = {}): Tensor {
  const { bias, activation, residual, dtype, outputsFirst = false } = options, backend = tape.backend;
  const { rows, cols: m } = asMatrix(x.shape),
    { inputs, outputs: { size: n } } = weightDims(weight, outputsFirst);
  if (inputs.size !== m) {
    throw new RangeError(
      `Cannot apply ${weight.name} ${formatShape(weight.shape)} to ${x.name} ${formatShape(x.shape)}: ` +
        `the last dim of the input must be ${inputs.size}`,
    );
  }
  const operands = [x, weight, bias, residual].filter((tensor) => tensor !== undefined);
  const name = options.name ?? weight.name.replace(/\.weight$/, "");
  const out = tape.output(name, [...x.shape.slice(0, -1), n], operands, dtype);
  if (activation === "gelu" && tape.isTraining) {
    out.preActivation = tape.scratch(`${name} pre`, rows * n, "activations", out.dtype);
  }
  const epilogue = bias === undefined
    ? undefined
    : activation === "gelu"
    ? { kind: "gelu" as const, bias: bias.span, pre: out.preActivation }
    : { kind: "bias" as const, bias: bias.span };
  const tree = chunkTree(weight, inputs.dim), transposeB = outputsFirst;
  const product = { m: rows, n, k: m, a: x.span, b: weight.span, transposeB, c: out.span, epilogue, tree };
  if (weight.packing !== undefined) backend.reserve?.("matmul", { ...product, packedB: weight.packing });
  const sum = residual && { op: "add" as const, a: out.span, b: residual.span, out: out.span };
  return tape.record({
    name,
    inputs: operands,
    output: out,
    forward: () => {
      backend.matmul(weight.packing === undefined ? product : { ...product, packedB: weight.packing });
      if (sum !== undefined) backend.binary(sum);
    },
    backward: (gradients) =>
      linearBackward(tape, { x, weight, bias, residual, out, gradients, outputsFirst }),
    lower: (lowering) => {
      const [input, table, shift, sum] = [x, weight, bias, residual].map((t) => t && lowering.valueOf(t));
      const product = onnx.matmul(input!, outputsFirst ? onnx.transposeLast(table!) : table!),
        shifted = shift ? onnx.add(product, shift) : product;
      const active = activation === "gelu" ? onnx.gelu(shifted) : shifted;
      return sum ? onnx.add(active, sum) : active;
    },
  });
}

/** A size of a weight, and which of its dims it is that of. */
export interface WeightDim {
  /** 0 or 1. */
  readonly dim: number;
  /** Elements along it. */
  readonly size: number;
}

/** Inputs and outputs of a weight. */
export function weightDims(
  { shape }: Parameter,
  outputsFirst: boolean,
): { readonly inputs: WeightDim; readonly outputs: WeightDim } {
  const [first, second] = shape.map((size, dim) => ({ dim, size }));
  return outputsFirst ? { inputs: second, outputs: first } : { inputs: first, outputs: second };
}

/** What adds the column sums of x [rows, columns of the parameter] to the parameter's gradient, if it has one. */
function columnSums(tape: Tape, x: Span, rows: number, parameter: Parameter): (() => void) | undefined {
  if (!parameter.isTrained) return undefined;
  const { backend, exact } = tape, cols = parameter.span.length, { gradient } = parameter;
  if (exact === undefined) {
    const args = { rows, cols, x, out: gradient, accumulate: true };
    return () => backend.sumRows(args);
  }
  const { units, sums, fold } = exact.unitSums(rows, cols), args = { rows, cols, x, out: sums, units };
  return () => {
    backend.sumRows(args);
    fold(gradient);
  };
}

interface LinearBackward {
  readonly x: Tensor;
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly residual: Tensor | undefined;
  readonly out: Tensor;
  readonly gradients: Gradients;
  readonly outputsFirst: boolean;
}

function linearBackward(tape: Tape, parts: LinearBackward): BackwardPass {
  const { x, weight, bias, residual, out, gradients, outputsFirst } = parts, backend = tape.backend;
  const { rows, cols: n } = asMatrix(out.shape),
    { inputs: { size: m }, outputs } = weightDims(weight, outputsFirst);
  const dOut = gradients.output(out);
  const activation = out.preActivation !== undefined && !gradients.isThroughActivation(out)
    ? { op: "gelu" as const, x: out.preActivation, dOut, dX: dOut }
    : undefined;
  const pre = gradients.inputThroughActivation(x), target = gradients.input(x);
  // After `input`: where x is the residual too, its gradient needs a block of its own, as dOut is still read.
  const addResidual = residual && gradients.pass(out, residual);
  const dX = target && {
    ...{ m: rows, n: m, k: n, a: dOut, b: weight.span, transposeB: !outputsFirst },
    ...{ c: target.span, accumulate: target.accumulate },
    epilogue: pre && { kind: "geluGradient" as const, pre },
    tree: chunkTree(weight, outputs.dim),
  };
  const sides = outputsFirst ? { m: n, n: m, a: dOut, b: x.span } : { m, n, a: x.span, b: dOut };
  const dWeight = weight.isTrained
    ? {
      ...{ ...sides, k: rows, transposeA: true },
      ...{ c: weight.gradient, accumulate: true, tree: tape.exact?.rowTree(rows) },
    }
    : undefined;
  const addBiasGradient = bias && columnSums(tape, dOut, rows, bias);
  return {
    input: () => {
      if (activation !== undefined) backend.unaryBackward(activation);
      if (dX !== undefined) backend.matmul(dX);
      addResidual?.();
    },
    weight: () => {
      if (dWeight !== undefined) backend.matmul(dWeight);
      addBiasGradient?.();
    },
  };
}

/**
 * `out = activation(x + bias) + residual`, for a product that was summed over devices first.
 *
 * Shapes: x [..., n], bias [n], residual and result as x.
 */
export function addBias(tape: Tape, x: Tensor, options: LinearOptions): Tensor {
  const { bias, activation, residual } = options, biased = bias === undefined ? x : shift(tape, x, bias);
  const active = activation === "gelu" ? gelu(tape, biased) : biased;
  return residual === undefined ? active : add(tape, residual, active);
}

/** `out = x + bias`. Backward: `dX = dOut`, `dBias += column sums of dOut`. */
function shift(tape: Tape, x: Tensor, bias: Parameter): Tensor {
  const backend = tape.backend, { rows, cols } = asMatrix(x.shape);
  const out = tape.output(bias.name, x.shape, [x, bias]);
  const args = { rows, cols, x: x.span, bias: bias.span, out: out.span };
  return tape.record({
    name: bias.name,
    inputs: [x, bias],
    output: out,
    forward: () => backend.addBias(args),
    backward: (gradients) => {
      const deliver = gradients.pass(out, x);
      return { input: deliver, weight: columnSums(tape, gradients.output(out), rows, bias) };
    },
    lower: (lowering) => onnx.add(lowering.valueOf(x), lowering.valueOf(bias)),
  });
}
