import type { ControlBlock } from "./control_block.ts";
import { OPERATIONS, readLabel } from "./status.ts";

/** Ways to run an all-reduce; the other collectives have one each. */
export const ALGORITHMS = ["none", "eager", "ordered", "ring"] as const;
/** One of {@link ALGORITHMS}. */
export type Algorithm = typeof ALGORITHMS[number];

/** How elements of two ranks are combined; the index is what is stored. */
export const REDUCTIONS = ["none", "sum f32", "max f32", "sum f64", "sum i32", "sum bf16"] as const;
/** One of {@link REDUCTIONS}. */
export type ReductionName = typeof REDUCTIONS[number];

/** Cells of a descriptor, by place; all but OFFSET and LABEL must be equal on all ranks. */
export const DESCRIPTOR = { SHAPE: 0, LENGTH: 1, DETAIL: 2, OFFSET: 3, LABEL: 4 } as const;

/** Operation, algorithm, reduction and bytes of an element in one cell. */
export function packShape(
  operation: number,
  algorithm: number,
  reduction: number,
  elementBytes: number,
): number {
  return operation | algorithm << 8 | reduction << 16 | elementBytes << 24;
}

/** The operation of a packed shape. */
export function operationOf(shape: number): number {
  return shape & 255;
}

/** `allReduce ring of 1024 elements, sum f32, root 0 (h.0.attn)`: a member's descriptor in words. */
export function describeOperation(
  control: ControlBlock,
  at: { group: number; index: number; sequence: number },
): string {
  const { words, layout } = control;
  const cell = layout.descriptor(at.group, at.index, at.sequence);
  const shape = words.get(cell + DESCRIPTOR.SHAPE);
  const algorithm = (shape >>> 8) & 255, reduction = (shape >>> 16) & 255, elementBytes = shape >>> 24;
  const operation = operationOf(shape);
  const rank = layout.topology.groups[at.group].ranks[at.index];
  const label = readLabel(control, rank, words.get(cell + DESCRIPTOR.LABEL));
  const parts: string[] = [OPERATIONS[operation] ?? "?"];
  if (algorithm !== 0) parts.push(`by ${ALGORITHMS[algorithm]}`);
  if (OPERATIONS[operation] !== "barrier") {
    parts.push(`of ${words.get(cell + DESCRIPTOR.LENGTH)} elements of ${elementBytes} bytes`);
  }
  if (reduction !== 0) parts.push(`(${REDUCTIONS[reduction]})`);
  const detail = words.get(cell + DESCRIPTOR.DETAIL);
  if (OPERATIONS[operation] === "broadcast") {
    parts.push(`from rank ${layout.topology.groups[at.group].ranks[detail]}`);
  } else if (detail > 1) {
    parts.push(`in rows of ${detail}`);
  }
  if (label !== "") parts.push(`for ${label}`);
  return parts.join(" ");
}
