import {
  LAYER_NORM,
  LAYER_NORM_BACKWARD,
  onnx,
  RMS_NORM,
  RMS_NORM_BACKWARD,
  SOFTMAX,
  SOFTMAX_BACKWARD,
  type Span,
} from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import { asMatrix, formatShape } from "../shape.ts";
import type { Parameter, Tensor } from "../tensor.ts";

/** Gain and shift of a layer norm. */
export interface LayerNormOptions {
  /** [C]: the gain. */
  readonly gamma: Parameter;
  /** [C]: the shift. */
  readonly beta: Parameter;
  /** Added to the variance of a row. */
  readonly epsilon: number;
}

/**
 * Normalises each row to mean 0 and variance 1, then scales and shifts.
 *
 * Shapes: x [..., C], gamma [C], beta [C], result as x.
 * Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
 *
 * @throws {RangeError} If the shapes do not fit.
 */
export function layerNorm(tape: Tape, x: Tensor, { gamma, beta, epsilon }: LayerNormOptions): Tensor {
  const { backend } = tape, { name, out, rows, cols } = openNorm(tape, x, [gamma, beta]);
  const mean = tape.scratch(`${name} mean`, rows), rstd = tape.scratch(`${name} rstd`, rows);
  const shared = { rows, cols, x: x.span, gamma: gamma.span, mean, rstd };
  const args = { ...shared, beta: beta.span, out: out.span, epsilon };
  return recordNorm(tape, x, {
    ...{ name, out },
    parameters: [[gamma, "gains"], [beta, "shifts"]],
    forward: () => backend.row(LAYER_NORM, args),
    backward: (deltas, [dGamma, dBeta]) => {
      const gradients = { ...shared, ...deltas, dGamma, dBeta };
      return () => backend.row(LAYER_NORM_BACKWARD, gradients);
    },
    lower: ([x, gamma, beta]) => LAYER_NORM.lower({ x, gamma, beta, epsilon }),
  });
}

/** Gain of an RMSNorm. */
export type RmsNormOptions = Omit<LayerNormOptions, "beta">;

/**
 * Divides each row by its root mean square, then scales: `out = x / sqrt(mean(x^2) + epsilon) * gamma`.
 *
 * Shapes: x [..., C], gamma [C], result as x.
 * Source: Zhang and Sennrich, Root Mean Square Layer Normalization, NeurIPS 2019, equation 4.
 *
 * @throws {RangeError} If the shapes do not fit.
 */
export function rmsNorm(tape: Tape, x: Tensor, { gamma, epsilon }: RmsNormOptions): Tensor {
  const { backend } = tape, { name, out, rows, cols } = openNorm(tape, x, [gamma]);
  const shared = { rows, cols, x: x.span, gamma: gamma.span, rstd: tape.scratch(`${name} rstd`, rows) };
  const args = { ...shared, out: out.span, epsilon };
  return recordNorm(tape, x, {
    ...{ name, out },
    parameters: [[gamma, "gains"]],
    forward: () => backend.row(RMS_NORM, args),
    backward: (deltas, [dGamma]) => {
      const gradients = { ...shared, ...deltas, dGamma };
      return () => backend.row(RMS_NORM_BACKWARD, gradients);
    },
    lower: ([x, gamma]) => RMS_NORM.lower({ x, gamma, epsilon }),
  });
}

/** The output of a norm, named after its gain, and its sizes. */
function openNorm(tape: Tape, x: Tensor, parameters: readonly [gamma: Parameter, ...rest: Parameter[]]) {
  const [gamma] = parameters, { rows, cols } = asMatrix(x.shape);
  if (gamma.shape[0] !== cols) {
    throw new RangeError(
      `Cannot normalise ${x.name} ${formatShape(x.shape)} by ${gamma.name} ${formatShape(gamma.shape)}: ` +
        `the last dims must be equal`,
    );
  }
  const name = gamma.name.replace(/\.weight$/, "");
  return { name, rows, cols, out: tape.output(name, x.shape, [x, ...parameters]) };
}

/** What differs between norms. */
interface Norm {
  readonly name: string;
  readonly out: Tensor;
  /** Parameters [C], and what their elements are called. */
  readonly parameters: readonly (readonly [parameter: Parameter, what: string])[];
  readonly forward: () => void;
  /** Plans the backward pass: gradients of rows, and where the sums over rows for each parameter go. */
  readonly backward: (deltas: RowDeltas, sums: readonly Span[]) => () => void;
  readonly lower: (inputs: readonly onnx.Value[]) => onnx.Value;
}

/** Spans of gradients of rows, and how the kernel delivers. */
interface RowDeltas {
  readonly dOut: Span;
  readonly dX: Span;
  readonly accumulate?: boolean;
  readonly units?: number;
}

function recordNorm(
  tape: Tape,
  x: Tensor,
  { name, out, parameters, forward, backward, lower }: Norm,
): Tensor {
  const inputs = [x, ...parameters.map(([parameter]) => parameter)];
  return tape.record({
    ...{ name, inputs, output: out, forward },
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.input(x);
      // Without a taker of dX the kernel may overwrite dOut, which nobody reads afterwards.
      const deltas = { dOut, dX: target?.span ?? dOut, accumulate: target?.accumulate }, { exact } = tape;
      if (exact === undefined) {
        // The kernel sums for frozen parameters, too; nobody reads it.
        const sumOf = (parameter: Parameter) =>
          parameter.isTrained ? parameter.gradient : gradients.temporary(parameter);
        return { input: backward(deltas, parameters.map(([parameter]) => sumOf(parameter))) };
      }
      const { rows, cols } = asMatrix(x.shape);
      const kept = parameters.map(([, what]) =>
        exact.keptUnitSums(rows, cols, (length) => tape.scratch(`${name} sums of ${what}`, length))
      );
      return {
        input: backward({ ...deltas, units: kept[0].units }, kept.map(({ sums }) => sums)),
        weight: () =>
          kept.forEach(({ fold }, i) => parameters[i][0].isTrained && fold(parameters[i][0].gradient)),
      };
    },
    lower: (lowering) => lower(inputs.map((tensor) => lowering.valueOf(tensor))),
  });
}

/** Softmax over the last dim. */
export function softmax(tape: Tape, x: Tensor): Tensor {
  const backend = tape.backend,
    { rows, cols } = asMatrix(x.shape),
    out = tape.output("softmax", x.shape, [x]);
  const args = { rows, cols, x: x.span, out: out.span };
  return tape.record({
    name: "softmax",
    inputs: [x],
    output: out,
    forward: () => backend.row(SOFTMAX, args),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(x);
      if (target === undefined) return {};
      const gradient = { rows, cols, out: out.span, dOut, dX: target.span };
      return {
        input: () => {
          backend.row(SOFTMAX_BACKWARD, gradient);
          target.after?.();
        },
      };
    },
    lower: (lowering) => SOFTMAX.lower({ x: lowering.valueOf(x) }),
  });
}

/**
 * Rows of a table: `out[i] = table[ids[i]]`. Backward: `dTable[ids[i]] += dOut[i]`, rows in order.
 *
 * Shapes: ids i32 [...], table [V, C], result [..., C].
 *
 * @param onto Added to the rows (the sum of token and position embeddings).
 */
export function embedding(tape: Tape, ids: Tensor, table: Parameter, onto?: Tensor): Tensor {
  const backend = tape.backend, cols = table.shape[1], shape = [...ids.shape, cols];
  const { rows } = asMatrix(shape), inputs = onto === undefined ? [table] : [table, onto];
  if (onto !== undefined && formatShape(onto.shape) !== formatShape(shape)) {
    throw new RangeError(`Cannot add ${table.name} to ${onto.name}: its shape must be ${formatShape(shape)}`);
  }
  const name = table.name.replace(/\.weight$/, ""), out = tape.output(name, shape, inputs);
  const args = {
    rows,
    cols,
    ids: ids.span,
    table: table.span,
    out: out.span,
    accumulate: onto !== undefined,
  };
  return tape.record({
    name,
    inputs,
    output: out,
    forward: () => {
      if (onto !== undefined) backend.copy(onto.span, out.span);
      backend.gather({ ...args, packedTable: table.packing === "f32" ? undefined : table.packing });
    },
    backward: (gradients) => {
      const scatter = table.isTrained
        ? {
          ...{ rows, cols, ids: ids.span, x: gradients.output(out), table: table.gradient },
          tree: tape.exact?.rowTree(rows),
        }
        : undefined;
      const deliver = onto && gradients.pass(out, onto);
      return {
        input: () => deliver?.(),
        weight: () => scatter && backend.scatterAdd(scatter),
      };
    },
    lower: (lowering) => {
      const chosen = onnx.gather(lowering.valueOf(table), lowering.valueOf(ids));
      return onto === undefined ? chosen : onnx.add(chosen, lowering.valueOf(onto));
    },
  });
}
