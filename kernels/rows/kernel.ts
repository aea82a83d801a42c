/**
 * What a kernel of rows is: rows go in, rows, statistics of rows and sums over rows come out. One value says all that
 * differs between kernels; what backends do with it is in the other files of this folder.
 *
 * | said by the kernel | derived from it                                                                       |
 * | ------------------ | ------------------------------------------------------------------------------------- |
 * | `operands`         | the check, addresses of a call, sums by unit (exact numerics), what bf16 stages       |
 * | `reference`        | the oracle: loops over rows, units and what is added to (`reference.ts`)              |
 * | `emit`             | the program, its variant that adds, and its call (`wasm.ts`)                          |
 * | `lower`            | the ONNX form and, by the rules of its operators, the gradient of that                |
 * | `error`            | bounds of the conformance suite (`tests/conformance/row_kernel_cases.ts`)             |
 *
 * Planning needs nothing: a kernel of rows takes no workspace.
 *
 * @module
 */
import { checkUnits, need } from "../arguments/check.ts";
import type { Value } from "../onnx/graph.ts";
import type { Span } from "../memory/span.ts";
import type { Kernel } from "../wasm/builder.ts";
import type { F32Local, I32Local } from "../wasm/values.ts";

/** Sizes of a call; rows are tight. */
export interface RowSizes {
  /** Number of rows. */
  readonly rows: number;
  /** Elements of each. */
  readonly cols: number;
}

/** A call that delivers gradients: of the rows, and sums over the rows for parameters. */
export interface RowGradientSizes extends RowSizes {
  /** Adds to the gradient of the rows; by default it is overwritten. */
  readonly accumulate?: boolean;
  /**
   * Rows are that many equal runs: sums are [units, cols], one for each run, and start at 0. By default they are [cols]
   * and added to, rows in order.
   */
  readonly units?: number;
}

/** Elements of an operand. */
export type RowShape = "[rows, cols]" | "[rows]" | "[cols]";

/** What is overwritten; what is overwritten, or added to with `accumulate`; sums over rows, which are added to. */
export type RowResult =
  | readonly [use: "out" | "target", shape: "[rows, cols]" | "[rows]"]
  | readonly [use: "sum", shape: "[cols]"];

/** Each argument of `A` but sizes, spans as one type and numbers as another. */
export type RowParts<A, OfSpan, OfNumber> = {
  readonly [K in Exclude<keyof A, keyof RowGradientSizes>]: A[K] extends Span ? OfSpan : OfNumber;
};

/**
 * What a kernel says of its arguments `A`, of which `R` are its results.
 *
 * @internal
 */
export interface RowForm<A extends RowSizes, R extends keyof A> {
  /** In errors, and of the program. */
  readonly name: string;
  /** Use and elements of every span; the order is that of the program's parameters. */
  readonly operands: {
    readonly [K in keyof RowParts<A, never, never>]: A[K] extends Span
      ? K extends R ? RowResult : readonly ["in", RowShape]
      : "number";
  };
  /** A result and what it may lie in the place of, unless it is added to. */
  readonly inPlace: readonly [result: string, input: string];
  /**
   * Computes one row in float64. Inputs are copies, results start at 0, and sums hold what rows before have left.
   *
   * Shapes: those of the operands for one row, so a statistic has one element.
   */
  reference(row: RowParts<A, Float64Array, number> & { readonly cols: number }): void;
  /**
   * Emits what runs once, and returns what emits the work on one row. Spans are addresses in bytes, of the row at hand.
   *
   * Sums over a row are those of `Fold`: their order depends on the row's length only.
   */
  emit(k: Kernel, row: RowParts<A, I32Local, F32Local> & EmittedRow): () => void;
  /**
   * Makes the first result of the inputs in an ONNX graph. Its gradient follows from the rules of its operators; a new
   * operator needs one in `kernels/onnx/vjp.ts`. Backward kernels have none.
   */
  lower?(inputs: Omit<RowParts<A, Value, number>, R>): Value;
  /**
   * Largest error of each result of a backend in units of 2^-24, the rounding of a float32, if inputs are in -1..1 and
   * so are results that are added to.
   */
  error(sizes: RowParts<A, unknown, number> & ErrorSizes): { readonly [K in R]: number };
}

/**
 * Of a program under construction.
 *
 * @internal
 */
export interface EmittedRow {
  /** Elements of a row. */
  readonly cols: I32Local;
  /** Targets are added to. */
  readonly accumulate: boolean;
}

/**
 * What errors grow with.
 *
 * @internal
 */
export interface ErrorSizes extends RowSizes {
  /** Roundings that an element of a sum over a row goes through. */
  readonly additions: number;
}

/** A span among the arguments of a kernel. */
export interface RowField {
  /** Of the argument. */
  readonly name: string;
  /** Read, overwritten, overwritten or added to, summed over rows. */
  readonly use: "in" | RowResult[0];
  /** Its elements. */
  readonly shape: RowShape;
}

/** Elements that a field has for `rows` rows. */
export function fieldLength(shape: RowShape, rows: number, cols: number): number {
  return shape === "[rows, cols]" ? rows * cols : shape === "[rows]" ? rows : cols;
}

/** Parameters that a program may have: spans, rows, cols and numbers. */
export const MAX_PARAMETERS = 12;

/** A kernel of rows, as `Backend.row` runs it. Arguments `A`, of which `R` are its results. */
export class RowKernel<A extends RowSizes = RowSizes, R extends keyof A = never> {
  /**
   * What the kernel says.
   *
   * @internal
   */
  readonly form: RowForm<A, R>;
  /** In errors, and of the program. */
  readonly name: string;
  /** Spans, in order. */
  readonly fields: readonly RowField[];
  /** Names of the other arguments, in order. */
  readonly numbers: readonly string[];
  /** Whether some result is a sum over rows. */
  readonly hasSums: boolean;
  /** Whether some result can be added to. */
  readonly hasTargets: boolean;

  /**
   * Takes the form apart.
   *
   * @throws {RangeError} If there are too many operands.
   * @internal
   */
  constructor(form: NoInfer<RowForm<A, R>>) {
    this.form = form;
    this.name = form.name;
    const operands: [string, readonly [RowField["use"], RowShape] | "number"][] = Object.entries(
      form.operands,
    );
    this.fields = operands.flatMap(([name, operand]) => {
      return operand === "number" ? [] : [{ name, use: operand[0], shape: operand[1] }];
    });
    this.numbers = operands.filter(([, operand]) => operand === "number").map(([name]) => name);
    const count = operands.length + 2;
    if (count > MAX_PARAMETERS) {
      throw new RangeError(
        `Cannot make ${form.name}: with rows and cols it has ${count} parameters, ${MAX_PARAMETERS} are allowed; use fewer`,
      );
    }
    this.hasSums = this.fields.some(({ use }) => use === "sum");
    this.hasTargets = this.fields.some(({ use }) => use === "target");
  }

  /**
   * Checks the arguments.
   *
   * @param offsets Gets the byte offset of every span, in order: what a call needs is read in one go.
   * @throws {RangeError} If a span of the arguments is too short, or units cannot be equal.
   */
  check(args: A, offsets?: number[]): void {
    const { rows, cols, units = 1 }: RowGradientSizes = args, { fields } = this;
    if (this.hasSums) checkUnits(this.name, rows, units);
    for (let i = 0; i < fields.length; i++) {
      const { name, use, shape } = fields[i],
        span = spanOf(args, name),
        length = fieldLength(shape, rows, cols);
      need(this.name, name, span, use === "sum" ? units * length : length);
      if (offsets !== undefined) offsets[i] = span.byteOffset;
    }
  }

  /**
   * The first result in an ONNX graph.
   *
   * @throws {TypeError} If the kernel has no ONNX form.
   */
  lower(inputs: Omit<RowParts<A, Value, number>, R>): Value {
    const result = this.form.lower?.(inputs);
    if (result === undefined) {
      throw new TypeError(`Cannot run ${this.name} as an ONNX graph: it has no form there`);
    }
    return result;
  }
}

/** The span of that name. */
export function spanOf(args: RowSizes, name: string): Span {
  return (args as unknown as Record<string, Span>)[name];
}

/** The number of that name. */
export function numberOf(args: RowSizes, name: string): number {
  return (args as unknown as Record<string, number>)[name];
}
