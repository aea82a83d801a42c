import { now, type PeerLink } from "../kernels/mod.ts";
import { MismatchError } from "./control/abort.ts";
import { describeOperation, DESCRIPTOR, packShape } from "./control/descriptor.ts";
import type { GroupParts } from "./group_parts.ts";
import { type Ledger, TIMED_BYTES } from "./control/ledger.ts";
import { Operation } from "./algorithms/operation.ts";
import { emptyWaitPoint } from "./control/status.ts";
import type { Waitable } from "./control/wait.ts";
import { hasReached, type Words } from "./control/words.ts";

/** Does an operation's part of the work as far as possible; true when it is complete. */
export type Work = (queue: GroupQueue, operation: Operation) => boolean;

/**
 * The operations of one group, on one rank: announced ahead, worked on and completed in order.
 *
 * Words (per member, each alone on a line of 128 bytes; counters are int32, wrap and are never reset)
 *   ANNOUNCED  operations announced       written by the member, read by its peers
 *   DONE       operations it did its part of          "                "
 *   STEP       ring steps it has done                 "                "
 *   PARKED     peers parked on the above  written by peers: an RMW because several may park
 * Cells
 *   descriptor s mod 16: what operation s is, and where its payload lies
 *
 * Invariants
 *   I1  DONE <= ANNOUNCED <= DONE of every peer + 16     (differences taken with | 0)
 *   I2  a descriptor, and an eager payload, of s belongs to its member until ANNOUNCED = s, then to the readers
 *       until every member's DONE >= s
 *   I3  payload that s names may be read (and, by its owner, written) by peers from ANNOUNCED >= s to their DONE >= s
 *
 * Protocol                                member              peer
 *   load DONE of all peers  ........... 1  [reuse]
 *   plain writes: payload, descriptor . 2
 *   store ANNOUNCED = s  .............. 3  [publish]
 *   load ANNOUNCED  ......................................  4  [acquire]
 *   plain reads and writes of payload  ...................  5
 *   store DONE = s  ......................................  6  [release]
 *   load DONE  ........................ 7  [complete]
 *   If 4 sees 3, 2 happens before 5. If 7 (or a later 1) sees 6, 5 happens before what the caller does next.
 *   Ring steps use the same pattern on STEP: [step] publishes, [left?] acquires.
 *
 * Order       1 before 2: a slot is written again only when every peer has done its part of s - 16, which named it.
 *             2 before 3: whoever sees ANNOUNCED = s sees all of the descriptor, and the input as it was when announced.
 *             5 before 6: DONE = s says that this rank touches no payload of s any more. Work is done in order, so it
 *             says the same of all operations before s, and one counter per member is enough.
 *             7 only if peers read or write the caller's own spans (`needsAllDone`); of the others a slot is guarded by 1.
 * Abort       Who fails sets ABORT and stops where it is; its words do not move again. `wait.ts` reads ABORT between
 *             looks, `isComplete` after each. Nothing is taken back: words and payload of what was under way are
 *             undefined, and no later world uses the block.
 * Waiting     `poll` fills in `at` with the first word that is missing; `wait.ts` parks on it. After every store
 *             the member reads PARKED and notifies if somebody is parked.
 * Checked by  tests/interleavings/barrier_test.ts and all_reduce_test.ts
 */
export class GroupQueue implements Waitable {
  readonly at = emptyWaitPoint();
  readonly index: number;
  readonly size: number;
  /** Links by place in the group; the own place links the memory to itself. */
  readonly links: PeerLink[];
  readonly ledger: Ledger;
  /** Where the peers' payload of the operation in work lies, by place in the group. */
  readonly peerOffsets: Float64Array;
  readonly #parts: GroupParts;
  readonly #ranks: readonly number[];
  readonly #words: Words;
  readonly #work: Work;
  readonly #operations: Operation[] = [];
  readonly #announcedWords: number[] = [];
  readonly #doneWords: number[] = [];
  readonly #stepWords: number[] = [];
  readonly #parkedWords: number[] = [];
  // Stale copies are safe: the words only grow.
  readonly #announcedSeen: Int32Array;
  readonly #doneSeen: Int32Array;
  readonly #stepSeen: Int32Array;
  readonly #verified: Int32Array;
  readonly #slots: number;
  #issued = 0;
  #worked = 0;
  #completed = 0;
  #steps = 0;
  #target = 0;
  /** Whether a wait also asks that every peer has done its part. */
  #isForAll = false;

  constructor(parts: GroupParts, work: Work) {
    const { layout, words } = parts.control;
    const { ranks } = layout.topology.groups[parts.group];
    this.#parts = parts;
    this.#ranks = ranks;
    this.#words = words;
    this.#work = work;
    this.#slots = layout.ringSlots;
    this.ledger = parts.ledger;
    this.index = ranks.indexOf(parts.rank);
    this.size = ranks.length;
    this.links = ranks.map((rank) => parts.links[rank]);
    this.peerOffsets = new Float64Array(this.size);
    this.#announcedSeen = new Int32Array(this.size);
    this.#doneSeen = new Int32Array(this.size);
    this.#stepSeen = new Int32Array(this.size);
    this.#verified = new Int32Array(this.size);
    for (let i = 0; i < this.#slots; i++) this.#operations.push(new Operation());
    for (let i = 0; i < this.size; i++) {
      this.#announcedWords.push(layout.announced(parts.group, i));
      this.#doneWords.push(layout.done(parts.group, i));
      this.#stepWords.push(layout.step(parts.group, i));
      this.#parkedWords.push(layout.parked(parts.group, i));
    }
  }

  /** Whether operations are announced that are not complete. */
  get isPending(): boolean {
    return this.#completed !== this.#issued;
  }

  /** Opens the next operation; waits while 16 are announced that some peer has not done. */
  open(): Operation {
    const sequence = (this.#issued + 1) | 0;
    const oldest = (sequence - this.#slots) | 0; // used the slot last
    if (!hasReached(this.#completed, oldest) || !this.#isDone(oldest)) this.#wait(oldest, true);
    this.#issued = sequence;
    const operation = this.#operations[sequence & (this.#slots - 1)];
    operation.sequence = sequence;
    operation.step = 0;
    return operation;
  }

  /** Publishes an opened operation; its input must be final. */
  announce(operation: Operation): void {
    const { sequence } = operation;
    const cell = this.#parts.control.layout.descriptor(this.#parts.group, this.index, sequence);
    const words = this.#words;
    const { kind, algorithm, reduction, elementBytes } = operation;
    words.set(cell + DESCRIPTOR.SHAPE, packShape(kind, algorithm, reduction, elementBytes));
    words.set(cell + DESCRIPTOR.LENGTH, operation.length);
    words.set(cell + DESCRIPTOR.DETAIL, operation.detail);
    words.set(cell + DESCRIPTOR.OFFSET, operation.published | 0);
    words.set(cell + DESCRIPTOR.LABEL, operation.label);
    words.store(this.#announcedWords[this.index], sequence); // [publish]: last, the sets above are plain
    this.#wake(this.#announcedWords[this.index]);
  }

  /** Goes on with all operations as far as possible without waiting; true if some are left. */
  progress(): boolean {
    while (this.#worked !== this.#issued) {
      const operation = this.#operations[(this.#worked + 1) & (this.#slots - 1)];
      if (!this.#enter(operation) || !this.#timedWork(operation)) break;
      this.#worked = operation.sequence;
      this.#words.store(this.#doneWords[this.index], this.#worked); // [release]
      this.#wake(this.#doneWords[this.index]);
    }
    // Apart from the work: that of the next operation may begin while a straggler is still at this one.
    while (this.#completed !== this.#worked) {
      const operation = this.#operations[(this.#completed + 1) & (this.#slots - 1)];
      if (operation.needsAllDone && !this.#isDone(operation.sequence)) break;
      this.#completed = operation.sequence;
    }
    return this.isPending;
  }

  /** Whether an operation is complete, after going on as far as possible. */
  isComplete(sequence: number): boolean {
    if (hasReached(this.#completed, sequence)) return true;
    this.progress();
    if (hasReached(this.#completed, sequence)) return true;
    this.#parts.abort.check();
    return false;
  }

  /** Waits until an operation is complete. */
  waitFor(sequence: number): void {
    if (!hasReached(this.#completed, sequence)) this.#wait(sequence, false);
  }

  /** For the waiter: whether the operation waited for is complete. */
  poll(): boolean {
    this.progress();
    return hasReached(this.#completed, this.#target) && (!this.#isForAll || this.#isDone(this.#target));
  }

  #wait(sequence: number, isForAll: boolean): void {
    this.#target = sequence;
    this.#isForAll = isForAll;
    this.#parts.waiter.until(this);
    this.#parts.abort.check(); // a rank that never waits long still stops at its next operation
  }

  /** Number of ring steps done before the operation in work. */
  get stepsBefore(): number {
    return this.#steps;
  }

  /** Whether a member has done so many ring steps; fills in `at` if not. */
  hasStepped(index: number, steps: number, operation: Operation): boolean {
    if (hasReached(this.#stepSeen[index], steps)) return true;
    this.#stepSeen[index] = this.#words.load(this.#stepWords[index]); // [left?]
    if (hasReached(this.#stepSeen[index], steps)) return true;
    this.#missing(index, this.#stepWords[index], this.#stepSeen[index], steps, operation);
    return false;
  }

  /** Publishes that this member has done one more ring step. */
  publishStep(operation: Operation, isLast: boolean): void {
    const steps = (this.#steps + operation.step) | 0;
    this.#words.store(this.#stepWords[this.index], steps); // [step]
    this.#wake(this.#stepWords[this.index]);
    if (isLast) this.#steps = steps;
  }

  #timedWork(operation: Operation): boolean {
    if (operation.length * operation.elementBytes < TIMED_BYTES) return this.#work(this, operation);
    const start = now();
    const isComplete = this.#work(this, operation);
    this.ledger.copyMs += now() - start;
    return isComplete;
  }

  /** Whether every peer has announced the operation, and the same one. */
  #enter(operation: Operation): boolean {
    const { sequence } = operation;
    let missing = -1;
    // Downwards, so that reports name the first who is missing; all are looked at, so that a mismatch is found early.
    for (let i = this.size - 1; i >= 0; i--) {
      if (i === this.index || this.#verified[i] === sequence) continue;
      if (!hasReached(this.#announcedSeen[i], sequence)) {
        this.#announcedSeen[i] = this.#words.load(this.#announcedWords[i]); // [acquire]
      }
      if (hasReached(this.#announcedSeen[i], sequence)) this.#verify(i, operation);
      else missing = i;
    }
    if (missing < 0) return true;
    this.#missing(missing, this.#announcedWords[missing], this.#announcedSeen[missing], sequence, operation);
    return false;
  }

  #verify(index: number, operation: Operation): void {
    const words = this.#words;
    const { layout } = this.#parts.control;
    const { sequence, kind, algorithm, reduction, elementBytes } = operation;
    const cell = layout.descriptor(this.#parts.group, index, sequence);
    // Plain reads: [acquire] came before, and the peer keeps the cell until this rank's DONE.
    const isEqual =
      words.get(cell + DESCRIPTOR.SHAPE) === packShape(kind, algorithm, reduction, elementBytes) &&
      words.get(cell + DESCRIPTOR.LENGTH) === operation.length &&
      words.get(cell + DESCRIPTOR.DETAIL) === operation.detail;
    if (!isEqual) this.#failMismatch(index, sequence);
    this.peerOffsets[index] = words.get(cell + DESCRIPTOR.OFFSET) >>> 0;
    this.#verified[index] = sequence;
  }

  #failMismatch(index: number, sequence: number): never {
    const { control, group, rank, abort } = this.#parts;
    const { name, ranks } = control.layout.topology.groups[group];
    const own = describeOperation(control, { group, index: this.index, sequence });
    const peer = describeOperation(control, { group, index, sequence });
    const message = `Mismatch at operation #${sequence} of group ${name}: ` +
      `rank ${rank} called ${own}, but rank ${ranks[index]} called ${peer}`;
    abort.raise(rank, message); // before it throws: the peer waits for this rank's DONE, which will not come
    throw new MismatchError(message);
  }

  /** Whether every peer has done its part of an operation; fills in `at` if not. */
  #isDone(sequence: number): boolean {
    for (let i = 0; i < this.size; i++) {
      if (i === this.index || hasReached(this.#doneSeen[i], sequence)) continue;
      this.#doneSeen[i] = this.#words.load(this.#doneWords[i]); // [complete] [reuse]
      if (hasReached(this.#doneSeen[i], sequence)) continue;
      const operation = this.#operations[sequence & (this.#slots - 1)];
      this.#missing(i, this.#doneWords[i], this.#doneSeen[i], sequence, operation);
      return false;
    }
    return true;
  }

  #missing(index: number, word: number, seen: number, target: number, operation: Operation): void {
    const { at } = this;
    at.word = word;
    at.seen = seen;
    at.target = target;
    at.parkedWord = this.#parkedWords[index];
    at.peer = this.#ranks[index];
    at.operation = operation.kind;
    at.group = this.#parts.group;
    at.sequence = operation.sequence;
    at.label = operation.label;
  }

  #wake(word: number): void {
    if (this.#words.load(this.#parkedWords[this.index]) !== 0) this.#words.notify(word); // [wake]
  }
}
