/**
 * Kernels of rows: one file each, with everything that is said about it. `CONTRIBUTING.md` says how to add one.
 *
 * @module
 */
import type { RowKernel } from "./kernel.ts";
import { LAYER_NORM, LAYER_NORM_BACKWARD } from "./layer_norm.ts";
import { RMS_NORM, RMS_NORM_BACKWARD } from "./rms_norm.ts";
import { SOFTMAX, SOFTMAX_BACKWARD } from "./softmax.ts";
import { SWIGLU, SWIGLU_BACKWARD } from "./swiglu.ts";

export {
  type RowField,
  type RowGradientSizes,
  RowKernel,
  type RowParts,
  type RowResult,
  type RowShape,
  type RowSizes,
} from "./kernel.ts";
export * from "./layer_norm.ts";
export * from "./rms_norm.ts";
export * from "./softmax.ts";
export * from "./swiglu.ts";

/** What backends can run and the conformance suite tests. */
export const ROW_KERNELS: readonly RowKernel[] = [
  ...[LAYER_NORM, LAYER_NORM_BACKWARD],
  ...[RMS_NORM, RMS_NORM_BACKWARD],
  ...[SOFTMAX, SOFTMAX_BACKWARD],
  ...[SWIGLU, SWIGLU_BACKWARD],
];
