/** Cases of every kernel of rows, made from what the kernel says of itself. */
import { assertEquals, assertThrows } from "@std/assert";
import { ROW_KERNELS, type RowGradientSizes, type RowKernel, type Span } from "../../kernels/mod.ts";
import { fieldLength } from "../../kernels/rows/kernel.ts";
import { type BackendPair, type Bound, chain, EPS, noise } from "./backend_pair.ts";

const SHAPES = [[0, 5], [3, 0], [1, 1], [2, 3], [3, 4], [5, 7], [4, 8], [17, 33], [3, 257]];
/** What numbers are: as an epsilon it keeps reciprocal roots at most 4. */
const NUMBER = 1 / 16;

type Spans = Record<string, Span>;
type Run = (pair: BackendPair) => void;

/** Arguments with noise in every span, in the order of the fields. */
function spansOf(
  pair: BackendPair,
  { fields }: RowKernel,
  { rows, cols, units = 1 }: RowGradientSizes,
): Spans {
  return Object.fromEntries(fields.map(({ name, use, shape }, i) => {
    const length = fieldLength(shape, rows, cols) * (use === "sum" ? units : 1);
    return [name, pair.tensor(noise(length, i + 1))];
  }));
}

function numbersOf({ numbers }: RowKernel): Record<string, number> {
  return Object.fromEntries(numbers.map((name) => [name, NUMBER]));
}

/** Results with what each may be off by. */
function boundsOf(kernel: RowKernel, spans: Spans, { rows, cols }: RowGradientSizes): [Span, Bound][] {
  const numbers = numbersOf(kernel);
  const errors: Record<string, number> = kernel.form.error({
    rows,
    cols,
    additions: chain(cols),
    ...numbers,
  });
  const results = kernel.fields.filter(({ use }) => use !== "in").map(({ name }) => name);
  assertEquals(Object.keys(errors).toSorted(), results.toSorted(), "every result has an error");
  return results.map((name) => [spans[name], EPS * errors[name]]);
}

function shapesCase(kernel: RowKernel): Run {
  return (pair) => {
    for (const [rows, cols] of SHAPES) {
      for (const accumulate of kernel.hasTargets ? [false, true] : [false]) {
        const spans = spansOf(pair, kernel, { rows, cols }), bounds = boundsOf(kernel, spans, { rows, cols });
        const args = { rows, cols, accumulate, ...spans, ...numbersOf(kernel) };
        pair.compare(`${rows}x${cols} ${accumulate}`, bounds, (b) => b.row(kernel, args));
      }
    }
  };
}

function inPlaceCase(kernel: RowKernel): Run {
  return (pair) => {
    const [result, input] = kernel.form.inPlace, sizes = { rows: 5, cols: 19 };
    const spans = spansOf(pair, kernel, sizes);
    spans[result] = spans[input];
    const bounds = boundsOf(kernel, spans, sizes), args = { ...sizes, ...spans, ...numbersOf(kernel) };
    pair.compare(`${result} at ${input}`, bounds, (b) => b.row(kernel, args));
  };
}

/** Runs the kernel on the first rows, then on the others; sums go on, or with units each have one of their own. */
function runInParts(
  pair: BackendPair,
  kernel: RowKernel,
  args: RowGradientSizes & Spans,
  hasUnits: boolean,
): void {
  const { rows, cols } = args, cut = hasUnits ? rows / 2 : 3;
  for (const [unit, [first, count]] of [[0, cut], [cut, rows - cut]].entries()) {
    const part = kernel.fields.map(({ name, use, shape }) => {
      const before = use === "sum" ? (hasUnits ? unit : 0) : shape === "[cols]" ? 0 : first;
      const byteOffset = args[name].byteOffset + 4 * before * fieldLength(shape, 1, cols);
      const span: Span = { byteOffset, length: fieldLength(shape, count, cols), dtype: "f32" };
      if (use === "sum" && hasUnits) pair.heap.f32(span).fill(0);
      return [name, span];
    });
    pair.candidate.row(kernel, { ...args, ...Object.fromEntries(part), rows: count, units: undefined });
  }
}

function partsCase(kernel: RowKernel, hasUnits: boolean): Run {
  return (pair) => {
    for (const cols of [1, 6, 33]) {
      const sizes = { rows: 8, cols, units: hasUnits ? 2 : undefined };
      const [whole, parts] = [0, 1].map(() => spansOf(pair, kernel, sizes));
      pair.candidate.row(kernel, { ...sizes, ...whole, ...numbersOf(kernel) });
      runInParts(
        pair,
        kernel,
        { ...sizes, ...parts, ...numbersOf(kernel) } as typeof sizes & Spans,
        hasUnits,
      );
      for (const { name, use } of kernel.fields) {
        // A sum that goes on was rounded in between by a backend that sums in float64.
        if (use === "sum" && !hasUnits) continue;
        assertEquals(pair.values(parts[name]), pair.values(whole[name]), `${name} of ${cols} columns`);
      }
    }
  };
}

function unitsCase(kernel: RowKernel): Run {
  return (pair) => {
    const sizes = { rows: 6, cols: 9, units: 3 }, spans = spansOf(pair, kernel, sizes);
    const args = { ...sizes, ...spans, ...numbersOf(kernel) };
    pair.compare("units", boundsOf(kernel, spans, sizes), (b) => b.row(kernel, args));
    const refused = `Cannot run ${kernel.name}: 6 rows are not 4 equal units`;
    const uneven = { ...args, units: 4 };
    assertThrows(() => pair.candidate.row(kernel, uneven), RangeError, refused);
  };
}

function shortSpansCase(kernel: RowKernel): Run {
  return (pair) => {
    const sizes = { rows: 3, cols: 5, units: kernel.hasSums ? 3 : undefined };
    const spans = spansOf(pair, kernel, sizes), args = { ...sizes, ...spans, ...numbersOf(kernel) };
    pair.candidate.row(kernel, args);
    for (const [name, span] of Object.entries(spans)) {
      const short = { ...args, [name]: { ...span, length: span.length - 1 } };
      const refused = `Cannot run ${kernel.name}: ${name} needs ${span.length} elements`;
      assertThrows(() => pair.candidate.row(kernel, short), RangeError, refused);
    }
  };
}

function casesOf(kernel: RowKernel): Record<string, Run> {
  const { name, hasSums } = kernel;
  return {
    [`the row kernel ${name} of all shapes`]: shapesCase(kernel),
    [`the row kernel ${name} in place`]: inPlaceCase(kernel),
    [`the row kernel ${name} of some rows, then of others, has the bits of all`]: partsCase(kernel, false),
    [`the row kernel ${name} refuses every span that is one element too short`]: shortSpansCase(kernel),
    ...hasSums && {
      [`the row kernel ${name} of units has the bits of a call for each`]: partsCase(kernel, true),
      [`the row kernel ${name} of units is that of the oracle`]: unitsCase(kernel),
    },
  };
}

/** Operations of `ROW_KERNELS`, on any backend. */
export const ROW_KERNEL_CASES: Record<string, Run> = Object.assign({}, ...ROW_KERNELS.map(casesOf));
