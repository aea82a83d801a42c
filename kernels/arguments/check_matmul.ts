import type { MatmulArgs } from "./product_arguments.ts";
import { type Span, spanByteLength } from "../memory/span.ts";
import { BLOCK_WEIGHTS } from "../../files/mod.ts";
import { type WeightFormat } from "../weights/formats.ts";
import { panelBytes } from "../weights/panels.ts";

function checkPanels(b: Span, format: WeightFormat, n: number, k: number): void {
  const bytes = panelBytes(format, n, k);
  if (k % BLOCK_WEIGHTS === 0 && bytes <= spanByteLength(b)) return;
  throw new RangeError(
    `Cannot multiply by a weight in ${format}: k is ${k}, it must be a multiple of ${BLOCK_WEIGHTS}; B needs ${bytes} ` +
      `bytes, its span has ${spanByteLength(b)}`,
  );
}

/**
 * @throws {RangeError} If a matrix of the arguments is larger than its span.
 * @throws {TypeError} If the product is to be added and has an epilogue: which comes first would be a guess.
 */
export function checkMatmul(args: MatmulArgs): void {
  if (args.accumulate && args.epilogue !== undefined) {
    throw new TypeError(
      `Cannot multiply: accumulate and the epilogue ${args.epilogue.kind} exclude each other`,
    );
  }
  const { m, n, k, a, b, c } = args, last = (args.batch ?? 1) - 1;
  if (last < 0 || m === 0 || n === 0) return;
  const need = (name: string, span: typeof a, rows: number, cols: number, ld: number, stride: number) => {
    const elements = rows === 0 || cols === 0 ? 0 : last * stride + (rows - 1) * ld + cols;
    if (elements > span.length) {
      throw new RangeError(
        `Cannot multiply: ${name} needs ${elements} elements, its span has ${span.length} (${
          spanByteLength(span)
        } bytes)`,
      );
    }
  };
  const [rowsA, colsA] = args.transposeA ? [k, m] : [m, k];
  const [rowsB, colsB] = args.transposeB ? [n, k] : [k, n];
  const terms = args.tree?.leaves.flat().reduce((sum, { length }) => sum + length, 0) ?? k;
  if (terms !== k) throw new RangeError(`Cannot multiply: the tree has ${terms} terms, k is ${k}`);
  need("A", a, rowsA, colsA, args.lda ?? colsA, args.strideA ?? m * k);
  const { packedB = "f32" } = args;
  if (packedB === "f32") need("B", b, rowsB, colsB, args.ldb ?? colsB, args.strideB ?? k * n);
  else checkPanels(b, packedB, n, k);
  need("C", c, m, n, args.ldc ?? n, args.strideC ?? m * n);
}
