/**
 * What every kind of group refuses before it announces anything: a program that is planned fails as it would when it runs.
 *
 * @module
 */
import type { Span } from "../kernels/mod.ts";
import { chunkOf } from "./algorithms/chunks.ts";
import type { Group } from "./group.ts";
import type { OperationName } from "./control/status.ts";

/** @throws {RangeError} If `output` is not as long as this member's chunk of `input`. */
export function checkReduceScatter(group: Group, input: Span, output: Span, row?: number): void {
  checkLength(group, "reduceScatter", output, ownLength(group, input.length, row));
}

/** @throws {RangeError} If `input` is not as long as this member's chunk of `output`. */
export function checkAllGather(group: Group, input: Span, output: Span, row?: number): void {
  checkLength(group, "allGather", input, ownLength(group, output.length, row));
}

/** @throws {RangeError} If `output` does not hold this member's chunk of every member. */
export function checkAllToAll(group: Group, input: Span, output: Span): void {
  checkLength(group, "allToAll", output, group.size * ownLength(group, input.length));
}

/**
 * @param what Such as "send to".
 * @throws {RangeError} If there is no member with that index.
 */
export function checkMember(group: Group, what: string, index: number): void {
  if (Number.isInteger(index) && index >= 0 && index < group.size) return;
  throw new RangeError(
    `Cannot ${what} member ${index} of group ${group.name}: it has members 0..${group.size - 1}`,
  );
}

function ownLength({ size, index }: Group, length: number, row?: number): number {
  return chunkOf(length, size, index, row).length;
}

function checkLength({ size, index }: Group, operation: OperationName, span: Span, length: number): void {
  if (span.length === length) return;
  throw new RangeError(
    `Cannot ${operation} with a span of ${span.length} elements: member ${index} of ${size} needs ${length}`,
  );
}
