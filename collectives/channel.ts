import { now, type PeerLink } from "../kernels/mod.ts";
import { MismatchError } from "./control/abort.ts";
import type { GroupParts } from "./group_parts.ts";
import { TIMED_BYTES } from "./control/ledger.ts";
import { emptyWaitPoint, operationCode, readLabel } from "./control/status.ts";
import type { Waitable } from "./control/wait.ts";
import { hasReached, type Words } from "./control/words.ts";

/** Cells of a message, by place. */
const MESSAGE = { OFFSET: 0, BYTES: 1, LABEL: 2 } as const;

/** Bytes of this device's memory that are sent, or received into. */
export interface Message {
  byteOffset: number;
  byteLength: number;
  /** Number of its label in this rank's table. */
  label: number;
}

/** The two ends of a channel by place in the group. */
export interface ChannelEnds {
  from: number;
  to: number;
}

/**
 * One end of a channel: messages from one rank to another, in order, pulled by the receiver straight from the
 * sender's memory. The slots hold only where a message lies; the payload is not copied on the sender's side.
 *
 * Words (TAIL and HEAD on lines of 128 bytes; counters are int32 and wrap)
 *   TAIL           messages announced       written by the sender only, read by both
 *   HEAD           messages released        written by the receiver only, read by both
 *   SENDER_PARKED, RECEIVER_PARKED          beside TAIL and HEAD; written by that end only
 *
 * Invariants
 *   I1  0 <= TAIL - HEAD <= capacity                    (difference taken with | 0)
 *   I2  slot TAIL mod capacity belongs to the sender while TAIL - HEAD < capacity
 *   I3  slots and payload of messages HEAD .. TAIL - 1 belong to the receiver
 *
 * Protocol                                  sender              receiver
 *   plain writes to payload and slot  ..... 1
 *   store TAIL + 1  ....................... 2  [publish]
 *   load TAIL  ............................................... 3  [acquire]
 *   plain reads of slot and payload  ......................... 4
 *   store HEAD + 1  .......................................... 5  [release]
 *   load HEAD  ............................ 6  [reuse]
 *   If 3 sees 2, then 1 happens before 4. If 6 sees 5, then 4 happens before the sender's next write.
 *
 * Order       1 before 2: TAIL is stored last, so whoever sees it sees the slot, and the payload as it was when posted.
 *             4 before 5: HEAD gives slot and payload back; the sender may write both as soon as it sees it.
 *             6 before 1 of the message `capacity` later, which writes the same slot again.
 *             Posting needs no word: messages wait in `posted` on their own side until a slot is free, or one has come.
 * Abort       Who fails sets ABORT and stops where it is: TAIL or HEAD does not move again. `wait.ts` reads ABORT between
 *             looks, `isComplete` after each. Messages under way are neither given back nor finished, their spans are
 *             undefined, and no later world uses the block. A mismatch is found by the receiver, which sets ABORT first.
 * Waiting     as in `wait.ts`: the receiver parks on TAIL, the sender on HEAD, each with the value it last read;
 *             who stores reads the other end's PARKED afterwards and notifies if it is not 0.
 * Checked by  tests/interleavings/channel_test.ts
 * Source      Lamport, Specifying concurrent program modules, TOPLAS 1983, for the two counters.
 */
abstract class ChannelEnd implements Waitable {
  readonly at = emptyWaitPoint();
  protected readonly words: Words;
  protected readonly parts: GroupParts;
  protected readonly ends: ChannelEnds;
  protected readonly tail: number;
  protected readonly head: number;
  protected readonly capacity: number;
  /** Messages given to this end that have not gone on yet, oldest first. */
  protected readonly posted: Message[] = [];
  /** Sequence number of the last posted message. */
  protected lastPosted = 0;
  #target = 0;

  constructor(parts: GroupParts, ends: ChannelEnds, operation: "send" | "recv") {
    const { layout, words } = parts.control;
    const { group } = parts;
    this.words = words;
    this.parts = parts;
    this.ends = ends;
    this.tail = layout.tail(group, ends.from, ends.to);
    this.head = layout.head(group, ends.from, ends.to);
    this.capacity = layout.channelSlots;
    const peer = operation === "send" ? ends.to : ends.from;
    this.at.peer = layout.topology.groups[group].ranks[peer];
    this.at.group = group;
    this.at.operation = operationCode(operation);
    // The end counts its own parks beside its own counter; who writes the awaited counter reads that.
    this.at.parkedWord = (operation === "send" ? this.tail : this.head) + 1;
    this.at.word = operation === "send" ? this.head : this.tail;
  }

  /** Gives a message to this end; returns its sequence number. Never waits. */
  post(message: Message): number {
    this.posted.push(message);
    this.lastPosted = (this.lastPosted + 1) | 0;
    this.progress();
    return this.lastPosted;
  }

  /** Whether a message is through: received, or released by the receiver. */
  isComplete(sequence: number): boolean {
    if (this.isThrough(sequence)) return true;
    this.progress();
    if (this.isThrough(sequence)) return true;
    this.parts.abort.check();
    return false;
  }

  /** Waits until a message is through. */
  waitFor(sequence: number): void {
    if (this.isThrough(sequence)) return;
    this.#target = sequence;
    this.parts.waiter.until(this);
  }

  /** For the waiter: whether the message waited for is through. */
  poll(): boolean {
    this.progress();
    return this.isThrough(this.#target);
  }

  /** Goes on as far as possible without waiting; true if messages are left. */
  abstract progress(): boolean;
  protected abstract isThrough(sequence: number): boolean;

  protected get link(): PeerLink {
    return this.parts.links[this.at.peer];
  }

  protected slot(sequence: number): number {
    return this.parts.control.layout.message(this.parts.group, this.ends.from, this.ends.to, sequence);
  }

  protected missing(seen: number, target: number, sequence: number, label: number): void {
    this.at.seen = seen;
    this.at.target = target;
    this.at.sequence = sequence;
    this.at.label = label;
  }
}

/** The sending end of a channel. */
export class ChannelSender extends ChannelEnd {
  #published = 0;
  #released = 0;
  #lastLabel = 0;

  constructor(parts: GroupParts, ends: ChannelEnds) {
    super(parts, ends, "send");
  }

  /**
   * Announces posted messages while there are slots; true while some are not released.
   *
   * HEAD is read once, before anything is decided: a second, newer value could free a slot that is not used any more
   * before the park on that value, which would then never end.
   */
  override progress(): boolean {
    if (hasReached(this.#released, this.lastPosted)) return false; // stale is safe: HEAD only grows
    this.#released = this.words.load(this.head); // [reuse]
    while (this.posted.length > 0) {
      const next = (this.#published + 1) | 0;
      if (!hasReached(this.#released, (next - this.capacity) | 0)) break;
      this.#publish(this.posted.shift()!, next);
    }
    if (hasReached(this.#released, this.lastPosted)) return false;
    this.missing(this.#released, (this.#released + 1) | 0, this.#published, this.#lastLabel);
    return true;
  }

  protected override isThrough(sequence: number): boolean {
    return hasReached(this.#released, sequence); // stale is safe: HEAD only grows
  }

  #publish({ byteOffset, byteLength, label }: Message, sequence: number): void {
    const cell = this.slot(sequence);
    this.words.set(cell + MESSAGE.OFFSET, byteOffset | 0);
    this.words.set(cell + MESSAGE.BYTES, byteLength | 0);
    this.words.set(cell + MESSAGE.LABEL, label);
    this.#published = sequence;
    this.#lastLabel = label;
    this.words.store(this.tail, sequence); // [publish]: last, the sets above are plain
    if (this.words.load(this.head + 1) !== 0) this.words.notify(this.tail); // [wake]: after the store, or it could be missed
  }
}

/** The receiving end of a channel. */
export class ChannelReceiver extends ChannelEnd {
  #announced = 0;
  #received = 0;

  constructor(parts: GroupParts, ends: ChannelEnds) {
    super(parts, ends, "recv");
  }

  /** Pulls announced messages into the posted places; true while some have not come. */
  override progress(): boolean {
    while (this.posted.length > 0) {
      const next = (this.#received + 1) | 0;
      if (!hasReached(this.#announced, next)) { // stale is safe: TAIL only grows
        this.#announced = this.words.load(this.tail); // [acquire]
        if (!hasReached(this.#announced, next)) {
          this.missing(this.#announced, next, next, this.posted[0].label);
          return true;
        }
      }
      this.#pull(this.posted.shift()!, next);
      this.#received = next;
      this.words.store(this.head, next); // [release]
      if (this.words.load(this.tail + 1) !== 0) this.words.notify(this.head); // [wake]
    }
    return false;
  }

  protected override isThrough(sequence: number): boolean {
    return hasReached(this.#received, sequence);
  }

  #pull({ byteOffset, byteLength, label }: Message, sequence: number): void {
    const cell = this.slot(sequence);
    // Plain reads: [acquire] came before, and the sender keeps the slot until HEAD.
    const sent = this.words.get(cell + MESSAGE.BYTES) >>> 0;
    if (sent !== byteLength) this.#failMismatch({ cell, sent, byteLength, label, sequence });
    const from = this.words.get(cell + MESSAGE.OFFSET) >>> 0;
    if (byteLength < TIMED_BYTES) {
      this.link.copyFromPeer(byteOffset, from, byteLength);
    } else {
      const start = now();
      this.link.copyFromPeer(byteOffset, from, byteLength);
      this.parts.ledger.copyMs += now() - start;
    }
    this.parts.ledger.bytesMoved += byteLength;
  }

  #failMismatch(
    at: { cell: number; sent: number; byteLength: number; label: number; sequence: number },
  ): never {
    const { control, group, rank, abort } = this.parts;
    const { name } = control.layout.topology.groups[group];
    const peer = this.at.peer;
    const text = (of: number, label: number) => readLabel(control, of, label) || "no label";
    const message = `Mismatch at message #${at.sequence} of group ${name}: rank ${rank} called recv of ` +
      `${at.byteLength} bytes (${text(rank, at.label)}), but rank ${peer} called send of ${at.sent} bytes ` +
      `(${text(peer, this.words.get(at.cell + MESSAGE.LABEL))})`;
    abort.raise(rank, message); // before it throws: the sender waits for HEAD, which will not come
    throw new MismatchError(message);
  }
}
