/** One product on raw addresses; built once by its user and changed in place. All sizes in elements. */
export interface Product {
  m: number;
  n: number;
  k: number;
  /** Byte addresses. */
  a: number;
  b: number;
  c: number;
  lda: number;
  ldb: number;
  ldc: number;
  transposeA: boolean;
  transposeB: boolean;
  accumulate: boolean;
}

/** What is to be done with a finished block of C. */
export type FinishBlock = (c: number, ldc: number, rows: number, cols: number, column: number) => void;

/** A product with nothing set. */
export function emptyProduct(): Product {
  const sizes = { m: 0, n: 0, k: 0, a: 0, b: 0, c: 0, lda: 0, ldb: 0, ldc: 0 };
  return { ...sizes, transposeA: false, transposeB: false, accumulate: false };
}
