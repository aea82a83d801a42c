import { type Backend, type DType, type PagedBatch, type Span, subspan } from "../../kernels/mod.ts";
import { type CachedLayer, type Layer, PagedCache, Tape, type Tensor } from "../../nn/mod.ts";
import { type EngineLimits, mostWanted } from "./scheduler.ts";

/** A layer that rows go through. */
export type RowLayer =
  | { readonly type: "block"; readonly layer: CachedLayer }
  | { readonly type: "other"; readonly layer: Layer };

/** Layers that rows go through on a device, and what they see. */
export interface RowLayers {
  /** Computes on the memory of the device. */
  readonly backend: Backend;
  /** In order; the first gets tokens, or what the device before hands over. */
  readonly layers: readonly RowLayer[];
  /** Whether the first layer gets tokens. */
  readonly isFirst: boolean;
  /** Width of what is handed over. */
  readonly embed: number;
  /** What a step may hold. */
  readonly limits: EngineLimits;
  /** Which rows belong together. */
  readonly batch: PagedBatch;
}

/** Rows of a pass, ready to run. */
export interface RowPass {
  /** Rows that there is room for. */
  readonly numRows: number;
  /** Computes. */
  readonly tape: Tape;
  /** i32 [1, N], of tokens, or [1, N, C], of what is handed over. */
  readonly input: Tensor;
  /** i32 [1, N]: their places in their sequences. */
  readonly positions: Tensor;
  /** [1, N, C]. */
  readonly output: Tensor;
}

/** Scores of some rows, ready to run. */
export interface HeadPass {
  /** Rows that there is room for. */
  readonly numRows: number;
  /** Computes. */
  readonly tape: Tape;
  /** [1, N, C]. */
  readonly input: Tensor;
  /** [1, N, V], or this device's part of the vocabulary. */
  readonly logits: Tensor;
}

/**
 * Passes of rows through layers, with pages for the keys of all sequences: for each number of rows that is a power of two,
 * and the most. Rows that are left over are of no sequence.
 */
export function recordRowPasses({ backend, ...options }: RowLayers): RowPass[] {
  const { layers, isFirst, embed, limits, batch } = options;
  const caches = layers.map(() => new PagedCache(backend.heap, limits, batch));
  return recordSizes(backend, limits.maxRows, (tape, numRows) => {
    const input = isFirst
      ? tape.input("ids", [1, numRows], "i32")
      : tape.input("rows handed over", [1, numRows, embed]);
    const positions = tape.positions = tape.input("positions", [1, numRows], "i32");
    const output = layers.reduce(
      (x, { type, layer }, i) =>
        type === "block" ? layer.forward(tape, x, caches[i]) : layer.forward(tape, x),
      input,
    );
    return { numRows, tape, input, positions, output };
  });
}

/** Passes of the last layer, for the rows whose scores are wanted. */
export function recordHeadPasses(
  { backend, embed, limits }: Pick<RowLayers, "backend" | "embed" | "limits">,
  head: Layer,
): HeadPass[] {
  return recordSizes(backend, mostWanted(limits), (tape, numRows) => {
    const input = tape.input("last rows", [1, numRows, embed]);
    return { numRows, tape, input, logits: head.forward(tape, input) };
  });
}

/** Numbers of rows that passes are recorded for: powers of two, and at last the most. */
export function passSizes(most: number): number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(most)) }, (_, i) => 2 ** i);
  return [...powers, most];
}

/** The first that holds so many rows; they grow. */
export function smallestOf<T extends { readonly numRows: number }>(
  recorded: readonly T[],
  numRows: number,
): T {
  return recorded.find((one) => one.numRows >= numRows)!;
}

/** Records passes of all sizes. They lie in the memory of the largest, as only one runs at a time. */
function recordSizes<T>(
  backend: Backend,
  most: number,
  record: (tape: Tape, numRows: number) => T,
): T[] {
  const spans: Span[] = [];
  return passSizes(most).reverse().map((numRows) => {
    let next = 0;
    const allocate = (name: string, length: number, dtype: DType) => {
      const known: Span | undefined = spans[next++];
      if (known !== undefined && known.dtype === dtype && known.length >= length) {
        return subspan(known, 0, length);
      }
      const own = backend.heap.allocate(name, length, "activations", dtype);
      if (known === undefined) spans.push(own);
      return own;
    };
    // Each row is a unit of its own, whose experts have room for it.
    const placement = { unitsPerRow: numRows };
    return record(new Tape({ backend, training: false, allocate, placement }), numRows);
  }).reverse();
}
