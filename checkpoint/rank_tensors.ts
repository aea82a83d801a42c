import type { DeviceHeap } from "../kernels/mod.ts";
import type { AdamW, Moments } from "../nn/mod.ts";
import type { ParameterStore, Piece, SavedPiece, StoredPiece } from "../strategies/mod.ts";
import type { CheckpointTensors } from "./checkpoint_files.ts";
import type { RunStart } from "./run_start.ts";
import { fillPieces, writePieces } from "./pieces.ts";

/** Parameters and moments of one rank, as parts of the tensors of a checkpoint. */
export class RankTensors {
  readonly #heap: DeviceHeap;
  readonly #stores: readonly ParameterStore[];
  readonly #pieces: readonly Piece[];
  readonly #frozen: readonly SavedPiece[];
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
    this.#frozen = stores.flatMap((store) => store.frozenPieces());
    this.#states = [...optimizer.moments.values()];
  }

  /** Reads what a run starts from; what it has no weights for keeps its own initialisation. */
  load({ weights, moments }: RunStart): void {
    const heap = this.#heap, pieces = this.#pieces, states = this.#states;
    if (weights !== undefined) {
      const isThere = ({ parameter }: StoredPiece) => weights.has(parameter.name);
      for (const store of this.#stores) {
        fillPieces(heap, store.residentPieces().filter(isThere), (piece) => piece.values, weights);
      }
      const masters = pieces.map((piece, i) => ({ ...piece, master: states[i].master })).filter(isThere);
      if (states[0]?.master !== undefined) fillPieces(heap, masters, (_, i) => masters[i].master!, weights);
    }
    if (moments === undefined) return;
    fillPieces(heap, pieces, (_, i) => states[i].m, moments.m);
    fillPieces(heap, pieces, (_, i) => states[i].v, moments.v);
  }

  /** Writes the pieces that this rank saves to their places in files, those that have some there. */
  write({ weights, m, v }: CheckpointTensors, countsHere: (piece: StoredPiece) => boolean): void {
    const heap = this.#heap,
      isOwn = (_: unknown, i: number) => {
        const piece = this.#pieces[i];
        return piece.isSaved && countsHere(piece);
      };
    const own = this.#pieces.filter(isOwn), kept = this.#states.filter(isOwn);
    writePieces(heap, own, (piece, i) => kept[i].master ?? piece.values, weights);
    writePieces(heap, own, (_, i) => kept[i].m, m);
    writePieces(heap, own, (_, i) => kept[i].v, v);
    const frozen = this.#frozen.filter((piece) => {
      return piece.isSaved && weights.has(piece.parameter.name) && countsHere(piece);
    });
    writePieces(heap, frozen, (piece) => piece.values, weights);
  }
}
