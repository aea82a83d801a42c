import type { RowOperand } from "../bf16/rows.ts";
import { fieldLength, type RowGradientSizes, type RowKernel } from "./kernel.ts";

/**
 * How a call of a kernel uses its spans where some are bf16: operands of rows go with them, the others are staged
 * whole; sums are rounded after the last row. Units have sums of their own, which no block may cut, so nothing is cut.
 */
export function stagedOperands<A extends RowGradientSizes>(
  { fields }: RowKernel,
  { cols, units, accumulate }: RowGradientSizes,
): RowOperand<A>[] {
  return fields.map(({ name, use, shape }) => {
    const isAdded = use === "sum" || (use === "target" && accumulate);
    const perRow = shape === "[cols]" || units !== undefined ? undefined : fieldLength(shape, 1, cols);
    return [name as RowOperand<A>[0], use === "in" ? "in" : isAdded ? "inout" : "out", perRow];
  });
}
