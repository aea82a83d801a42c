import type { ControlBlock } from "./control_block.ts";
import { describeOperation } from "./descriptor.ts";
import {
  describeStatus,
  OPERATIONS,
  readLabel,
  readStatus,
  type WaitPoint,
  type WaitReport,
} from "./status.ts";
import { hasReached } from "./words.ts";

/**
 * Walks the graph of published waits from one waiting rank, to tell a stall from a slow peer.
 *
 * A cycle of waits is certain when, between two looks, no rank in it has published another wait, each has looked
 * at its word at least twice (HEARTBEAT), and no awaited word has reached its target: nobody in the cycle can be the
 * first to move. A rank with other pending operations does not move HEARTBEAT, as they may be finished by ranks
 * outside the cycle; then only the stall timeout ends the wait. A peer that has finished or failed and has not
 * written the awaited word never will. A peer that computes is only slow.
 *
 * Source: wait-for graphs as in Knapp, Deadlock detection in distributed databases, ACM Surveys 1987.
 */
export class WaitGraph {
  readonly #control: ControlBlock;
  readonly #rank: number;
  #cycle = "";
  #beats: number[] = [];

  constructor(control: ControlBlock, rank: number) {
    this.#control = control;
    this.#rank = rank;
  }

  /** Forgets earlier looks; a new wait starts. */
  reset(): void {
    this.#cycle = "";
    this.#beats = [];
  }

  /** Looks once; returns why this rank can never go on, or undefined while it may. */
  look(at: WaitPoint): string | undefined {
    const { words } = this.#control;
    const peer = readStatus(this.#control, at.peer);
    if (peer.state === "finished" || peer.state === "failed") {
      if (hasReached(words.load(at.word), at.target)) return undefined;
      return `${this.describe(at)}, but rank ${at.peer} has ${peer.state}`;
    }
    const cycle = this.#findCycle(at);
    const key = cycle.map(({ rank, wait }) => `${rank}:${wait.version}`).join(" ");
    const beats = cycle.map(({ wait }) => wait.heartbeat);
    if (key === "" || key !== this.#cycle) {
      this.#cycle = key;
      this.#beats = beats;
      return undefined;
    }
    if (!beats.every((beat, i) => hasReached(beat, this.#beats[i] + 2))) return undefined;
    const others = cycle.map(({ rank }) => describeStatus(readStatus(this.#control, rank)));
    return `${this.describe(at)}, but ${others.join(", and ")}`;
  }

  /** This rank's side of a wait: rank, peer, operation, group, sequence, label. */
  describe(at: WaitPoint): string {
    const group = this.#control.layout.topology.groups[at.group].name;
    const label = readLabel(this.#control, this.#rank, at.label);
    return `rank ${this.#rank} waits for rank ${at.peer} in ${OPERATIONS[at.operation]} #${at.sequence} ` +
      `of group ${group}${label === "" ? "" : ` (${label})`}`;
  }

  /** The peer's side: its state, and its last operation in the group. */
  describePeer(at: WaitPoint): string {
    const { words, layout } = this.#control;
    const index = layout.topology.groups[at.group].ranks.indexOf(at.peer);
    const sequence = words.load(layout.announced(at.group, index));
    const last = sequence === 0
      ? "it has started no operation of this group"
      : `its last operation of this group is #${sequence}, ` +
        describeOperation(this.#control, { group: at.group, index, sequence });
    return `${describeStatus(readStatus(this.#control, at.peer))}; ${last}`;
  }

  /** Ranks on the way from the peer back to this rank, with their waits; empty if there is no such way. */
  #findCycle(at: WaitPoint): { rank: number; wait: WaitReport }[] {
    const path: { rank: number; wait: WaitReport }[] = [];
    let rank = at.peer;
    while (rank !== this.#rank) {
      const { wait } = readStatus(this.#control, rank);
      if (wait === undefined || path.some((edge) => edge.rank === rank)) return [];
      if (hasReached(this.#control.words.load(wait.word), wait.target)) return [];
      path.push({ rank, wait });
      rank = wait.peer;
    }
    return hasReached(this.#control.words.load(at.word), at.target) ? [] : path;
  }
}
