import { numElements } from "../kernels/mod.ts";

export { numElements };

/** Sizes of a tensor's dims, outermost first. */
export type Shape = readonly number[];

/** `[2, 3]`: a shape as text for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Rows and columns of a tensor seen as a matrix over its last dim. */
export function asMatrix(shape: Shape): { rows: number; cols: number } {
  const cols = shape.at(-1) ?? 1;
  return { rows: numElements(shape.slice(0, -1)), cols };
}
