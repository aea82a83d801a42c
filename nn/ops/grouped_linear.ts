import { numElements, type Span, subspan } from "../../kernels/mod.ts";
import type { BackwardPass } from "../entry.ts";
import type { Gradients } from "../gradients.ts";
import { chunkTree } from "../sum_chunks.ts";
import { formatShape } from "../shape.ts";
import { weightDims } from "./linear.ts";
import type { Tape } from "../tape.ts";
import type { Parameter, Tensor } from "../tensor.ts";

/** Parameters of the same linear layer of several experts, and what follows the product. */
export interface GroupedLinearOptions {
  /** [inputs, outputs] each, or [outputs, inputs] with `outputsFirst`. */
  readonly weights: readonly Parameter[];
  /** See {@link LinearOptions}. */
  readonly outputsFirst?: boolean;
  /** [outputs] each; one for each weight, or none. */
  readonly biases: readonly Parameter[];
  /** Fused GELU (tanh form); needs biases. */
  readonly activation?: "gelu";
}

/** A group's part of a tensor whose first dim counts the groups. */
function part(span: Span, groups: number, group: number): Span {
  const length = span.length / groups;
  return subspan(span, group * length, length);
}

/**
 * `out[g] = activation(x[g] weights[g] + biases[g])`: a product for each group.
 *
 * Shapes: x [groups, ..., inputs], result [groups, ..., outputs].
 * Cost: 2 rows inputs outputs operations forward, twice that backward.
 *
 * @throws {RangeError} If the shapes do not fit.
 */
export function groupedLinear(tape: Tape, x: Tensor, options: GroupedLinearOptions): Tensor {
  const { weights, biases, activation, outputsFirst = false } = options, backend = tape.backend;
  const groups = weights.length, k = x.shape.at(-1)!, name = weights[0].name.replace(/\.weight$/, " ..");
  const { inputs: { size: inputs, dim }, outputs: { size: n } } = weightDims(weights[0], outputsFirst);
  if (inputs !== k || x.shape[0] !== groups) {
    throw new RangeError(
      `Cannot apply ${groups} weights ${formatShape(weights[0].shape)} to ${x.name} ${
        formatShape(x.shape)
      }: ` +
        `it must be [${groups}, ..., ${inputs}]`,
    );
  }
  const m = numElements(x.shape) / groups / k,
    out = tape.output(name, [...x.shape.slice(0, -1), n], [x, ...weights]);
  if (activation === "gelu" && tape.isTraining) {
    out.preActivation = tape.scratch(`${name} pre`, groups * m * n, "activations", out.dtype);
  }
  const products = weights.map((weight, g) => ({
    ...{ m, n, k, a: part(x.span, groups, g), b: weight.span, transposeB: outputsFirst },
    ...{ c: part(out.span, groups, g), tree: chunkTree(weight, dim) },
    epilogue: epilogueOf(biases[g], activation, out.preActivation && part(out.preActivation, groups, g)),
  }));
  products.forEach((product, g) => {
    const { packing } = weights[g];
    if (packing !== undefined) backend.reserve?.("matmul", { ...product, packedB: packing });
  });
  return tape.record({
    name,
    inputs: [x, ...weights, ...biases],
    output: out,
    forward: () => {
      products.forEach((product, g) => backend.matmul({ ...product, packedB: weights[g].packing }));
    },
    backward: (gradients) => groupedLinearBackward(tape, { x, out, options, gradients }),
  });
}

function epilogueOf(bias: Parameter | undefined, activation: "gelu" | undefined, pre: Span | undefined) {
  if (bias === undefined) return undefined;
  return activation === "gelu"
    ? { kind: "gelu" as const, bias: bias.span, pre }
    : { kind: "bias" as const, bias: bias.span };
}

interface GroupedLinearBackward {
  readonly x: Tensor;
  readonly out: Tensor;
  readonly options: GroupedLinearOptions;
  readonly gradients: Gradients;
}

/** As that of `linear`, group by group. */
function groupedLinearBackward(
  tape: Tape,
  { x, out, options, gradients }: GroupedLinearBackward,
): BackwardPass {
  const { weights, biases, outputsFirst = false } = options, backend = tape.backend, groups = weights.length;
  const { inputs: { size: k }, outputs: { size: n, dim } } = weightDims(weights[0], outputsFirst),
    m = numElements(x.shape) / groups / k,
    dOut = gradients.output(out);
  const activation = out.preActivation !== undefined && !gradients.isThroughActivation(out)
    ? { op: "gelu" as const, x: out.preActivation, dOut, dX: dOut }
    : undefined;
  const pre = gradients.inputThroughActivation(x), target = gradients.input(x);
  const dXs = target === undefined ? [] : weights.map((weight, g) => ({
    ...{ m, n: k, k: n, a: part(dOut, groups, g), b: weight.span, transposeB: !outputsFirst },
    ...{ c: part(target.span, groups, g), accumulate: target.accumulate },
    epilogue: pre && { kind: "geluGradient" as const, pre: part(pre, groups, g) },
    tree: chunkTree(weight, dim),
  }));
  // Rows are slots: [groups, units, capacity, inputs].
  const tree = tape.exact?.slotTree(x.shape[1], m / x.shape[1]);
  const dWeights = weights.flatMap((weight, g) => {
    if (!weight.isTrained) return [];
    const own = part(x.span, groups, g), delta = part(dOut, groups, g);
    const sides = outputsFirst ? { m: n, n: k, a: delta, b: own } : { m: k, n, a: own, b: delta };
    return [{ ...sides, k: m, transposeA: true, c: weight.gradient, accumulate: true, tree }];
  });
  const addBiasGradients = biasGradients(tape, biases, { dOut, units: x.shape[1], rows: m });
  return {
    input: () => {
      if (activation !== undefined) backend.unaryBackward(activation);
      for (const dX of dXs) backend.matmul(dX);
    },
    weight: () => {
      for (const dWeight of dWeights) backend.matmul(dWeight);
      addBiasGradients();
    },
  };
}

/** What adds the column sums of each group of dOut [groups, units, slots, n] to the gradient of its bias. */
function biasGradients(
  { backend, exact }: Tape,
  biases: readonly Parameter[],
  { dOut, units, rows }: { dOut: Span; units: number; rows: number },
): () => void {
  const groups = biases.length;
  const sums = biases.flatMap((bias, g) => {
    if (!bias.isTrained) return [];
    const args = { rows, cols: bias.span.length, x: part(dOut, groups, g) };
    const ofUnits = exact?.slotSums(units, args.cols);
    return [
      ofUnits === undefined
        ? { args: { ...args, out: bias.gradient, accumulate: true }, fold: undefined, bias }
        : { args: { ...args, out: ofUnits.sums, units }, fold: ofUnits.fold, bias },
    ];
  });
  return () => {
    for (const { args, fold, bias } of sums) {
      backend.sumRows(args);
      fold?.(bias.gradient);
    }
  };
}

/**
 * `out[g] = x[g] + biases[g]`, for products that were summed over devices first. Backward: `dX = dOut`, `dBias[g] +=`
 * column sums of `dOut[g]`.
 *
 * Shapes: x and result [groups, ..., n].
 */
export function groupedBias(tape: Tape, x: Tensor, biases: readonly Parameter[]): Tensor {
  const backend = tape.backend, groups = biases.length, cols = x.shape.at(-1)!;
  const rows = numElements(x.shape) / groups / cols,
    out = tape.output("expert biases", x.shape, [x, ...biases]);
  const sums = biases.map((bias, g) => ({
    ...{ rows, cols, x: part(x.span, groups, g), bias: bias.span, out: part(out.span, groups, g) },
  }));
  return tape.record({
    name: "expert biases",
    inputs: [x, ...biases],
    output: out,
    forward: () => {
      for (const sum of sums) backend.addBias(sum);
    },
    backward: (gradients) => {
      const slots = { dOut: gradients.output(out), units: x.shape[1], rows };
      return { input: gradients.pass(out, x), weight: biasGradients(tape, biases, slots) };
    },
  });
}
