import type { DeviceHeap } from "../kernels/mod.ts";
import type { AdamW, Moments } from "../nn/mod.ts";
import type { ParameterStore, Piece } from "../strategies/mod.ts";
import type { CheckpointTensors } from "./checkpoint_files.ts";
import type { RunStart } from "./run_start.ts";
import { fillPieces, writePieces } from "./pieces.ts";

/** Parameters and moments of one rank, as parts of the tensors of a checkpoint. */
export class RankTensors {
  readonly #heap: DeviceHeap;
  readonly #stores: readonly ParameterStore[];
  readonly #pieces: readonly Piece[];
  readonly #states: readonly Moments[];

  /**
   * Finds the pieces of this rank.
   *
   * @param optimizer Has a state for each piece that the stores update, in their order.
   */
  constructor(heap: DeviceHeap, stores: readonly ParameterStore[], optimizer: AdamW) {
    this.#heap = heap;
    this.#stores = stores;
    this.#pieces = stores.flatMap((store) => store.updatePieces());
    this.#states = [...optimizer.moments.values()];
  }

  /** Reads what a run starts from; without weights the model keeps its own initialisation. */
  load({ weights, moments }: RunStart): void {
    const heap = this.#heap, pieces = this.#pieces, states = this.#states;
    if (weights !== undefined) {
      for (const store of this.#stores) {
        fillPieces(heap, store.residentPieces(), (piece) => piece.values, weights);
      }
      if (states[0]?.master !== undefined) fillPieces(heap, pieces, (_, i) => states[i].master!, weights);
    }
    if (moments === undefined) return;
    fillPieces(heap, pieces, (_, i) => states[i].m, moments.m);
    fillPieces(heap, pieces, (_, i) => states[i].v, moments.v);
  }

  /** Writes the pieces that this rank saves to their places in files. */
  write({ weights, m, v }: CheckpointTensors, countsHere: (piece: Piece) => boolean): void {
    const heap = this.#heap,
      isOwn = (_: unknown, i: number) => {
        const piece = this.#pieces[i];
        return piece.isSaved && countsHere(piece);
      };
    const own = this.#pieces.filter(isOwn), kept = this.#states.filter(isOwn);
    writePieces(heap, own, (piece, i) => kept[i].master ?? piece.values, weights);
    writePieces(heap, own, (_, i) => kept[i].m, m);
    writePieces(heap, own, (_, i) => kept[i].v, v);
  }
}
