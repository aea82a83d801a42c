import { storedLength, type TensorIndex, TensorReader, TensorWriter } from "../files/mod.ts";
import { type DeviceHeap, numElements, readElements, type Span, writeElements } from "../kernels/mod.ts";
import { eachRun } from "../nn/mod.ts";
import type { StoredPiece } from "../strategies/mod.ts";

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
 * Reads this rank's parts of whole tensors into spans that lie as the pieces do.
 *
 * @throws {Error} If a tensor is missing or of another size.
 */
export function fillPieces(
  heap: DeviceHeap,
  pieces: readonly StoredPiece[],
  spanOf: (piece: StoredPiece, index: number) => Span,
  tensors: TensorIndex,
): void {
  using reader = new TensorReader();
  for (const [i, piece] of pieces.entries()) {
    const { name, globalShape } = piece.parameter,
      whole = tensors.get(name),
      expected = numElements(globalShape);
    if (whole === undefined || storedLength(whole) !== expected) {
      throw new Error(
        `Cannot load ${name} of ${expected} values: the checkpoint has ${
          whole ? storedLength(whole) : "none"
        }; ` +
          `it was written by another model`,
      );
    }
    const span = spanOf(piece, i);
    eachPieceRun(piece, (local, global, length) => {
      const write = (values: Float32Array, offset: number) =>
        writeElements(heap, span, values, local + offset);
      reader.visit(whole, { start: global, length }, write);
    });
  }
}

/** Writes spans that lie as the pieces do to their places in the files of whole tensors. */
export function writePieces(
  heap: DeviceHeap,
  pieces: readonly StoredPiece[],
  spanOf: (piece: StoredPiece, index: number) => Span,
  tensors: TensorIndex,
): void {
  using writer = new TensorWriter();
  for (const [i, piece] of pieces.entries()) {
    const values = readElements(heap, spanOf(piece, i)), whole = tensors.get(piece.parameter.name)!;
    eachPieceRun(piece, (local, global, length) => {
      writer.write(whole, global, values.subarray(local, local + length));
    });
  }
}
