import type { Kernel } from "./builder.ts";
import { Fold } from "./fold.ts";
import { exp } from "./math.ts";
import type { I32, V128 } from "./values.ts";

/** A row of `cols` scores at address x. */
export interface SoftmaxRow {
  readonly x: I32;
  readonly cols: I32;
  /** Scores are multiplied by it first, in all lanes. */
  readonly factor?: V128;
  /** Where the exponentials go, if anywhere; may be x. */
  readonly out?: I32;
}

/**
 * Emits the two passes that all softmaxes share: the maximum of the row, and `out = e^(score - max)` with its sum.
 *
 * @returns Maximum and sum in all lanes; -Infinity and 0 for an empty row.
 */
export function softmaxRow(k: Kernel, { x, cols, factor, out }: SoftmaxRow): { max: V128; total: V128 } {
  const scaled = (score: V128) => factor === undefined ? score : score.mul(factor);
  const largest = new Fold(k, "max");
  k.vectors(cols, (v) => largest.add(v, scaled(v.load(x))));
  const max = largest.result();
  return { max, total: sumPowers(k, { x, cols, factor, out }, max) };
}

/** Emits the second pass: `out = e^(score - max)`; returns the sum in all lanes. */
export function sumPowers(k: Kernel, { x, cols, factor, out }: SoftmaxRow, max: V128): V128 {
  const sum = new Fold(k, "sum");
  k.vectors(cols, (v) => {
    const score = factor === undefined ? v.load(x) : v.load(x).mul(factor);
    const power = k.let(exp(k, score.sub(max)));
    sum.add(v, power);
    if (out !== undefined) v.store(out, power);
  }, { isLong: true });
  return sum.result();
}
