import type { DType } from "../../kernels/mod.ts";
import { type ReductionName, REDUCTIONS } from "../control/descriptor.ts";

/** How elements are combined. */
export type Reduction = "sum" | "max";

/**
 * One operation of a group on its way; the objects of a group are made once and used in turn.
 *
 * All offsets are bytes in this device's memory.
 */
export class Operation {
  sequence = 0;
  kind = 0;
  algorithm = 0;
  reduction = 0;
  elementBytes = 0;
  /** Elements of the whole operation, equal on all ranks. */
  length = 0;
  /** Of a broadcast, index of the member that sends; of operations on chunks, elements that stay together. */
  detail = 0;
  /** What peers read; the place of an eager payload, not of the caller's span. */
  published = 0;
  input = 0;
  output = 0;
  label = 0;
  /** Ring step that comes next. */
  step = 0;
  /** Whether the caller must wait until all peers have done their part, as they read or write its memory. */
  needsAllDone = false;
}

/** The number of a reduction of elements of a type. */
export function reductionCode(reduction: Reduction, dtype: DType): number {
  const code = REDUCTIONS.indexOf(`${reduction} ${dtype}` as ReductionName);
  if (code <= 0) {
    const legal = REDUCTIONS.slice(1).join(", ");
    throw new TypeError(`Cannot reduce by ${reduction} of ${dtype}: there are ${legal}`);
  }
  return code;
}
