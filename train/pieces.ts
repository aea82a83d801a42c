import { type DeviceHeap, readElements, type Span, writeElements } from "../kernels/mod.ts";
import { eachRun, numElements } from "../nn/mod.ts";
import type { StoredPiece } from "../strategies/mod.ts";
import type { SharedTensors } from "./job.ts";

/** Visits the runs of a piece: `local` elements into the piece lie `global` elements into the whole tensor. */
function eachPieceRun(
  piece: StoredPiece,
  visit: (local: number, global: number, length: number) => void,
): void {
  const { parameter, start, values } = piece, end = start + values.length;
  eachRun(parameter.globalShape, parameter.shard, (local, global, length) => {
    const first = Math.max(local, start), last = Math.min(local + length, end);
    if (first < last) visit(first - start, global + first - local, last - first);
  });
}

/**
 * Copies this rank's parts of whole tensors into spans that lie as the pieces do.
 *
 * @throws {Error} If a tensor is missing or of another size.
 */
export function fillPieces(
  heap: DeviceHeap,
  pieces: readonly StoredPiece[],
  spanOf: (piece: StoredPiece, index: number) => Span,
  tensors: SharedTensors,
): void {
  for (const [i, piece] of pieces.entries()) {
    const { name, globalShape } = piece.parameter,
      whole = tensors.get(name),
      length = numElements(globalShape);
    if (whole?.length !== length) {
      throw new Error(
        `Cannot load ${name} of ${length} values: the checkpoint has ${whole?.length ?? "none"}; ` +
          `it was written by another model`,
      );
    }
    const span = spanOf(piece, i);
    eachPieceRun(
      piece,
      (local, global, length) => writeElements(heap, span, whole.subarray(global, global + length), local),
    );
  }
}

/** Copies spans that lie as the pieces do into their places in whole tensors, which all ranks share. */
export function writePieces(
  heap: DeviceHeap,
  pieces: readonly StoredPiece[],
  spanOf: (piece: StoredPiece, index: number) => Span,
  tensors: SharedTensors,
): void {
  for (const [i, piece] of pieces.entries()) {
    const values = readElements(heap, spanOf(piece, i)), whole = tensors.get(piece.parameter.name)!;
    eachPieceRun(piece, (local, global, length) => whole.set(values.subarray(local, local + length), global));
  }
}
