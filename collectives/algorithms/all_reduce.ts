import type { DType, PeerLink } from "../../kernels/mod.ts";
import { lineChunkStart } from "./chunks.ts";
import { type Algorithm, ALGORITHMS } from "../control/descriptor.ts";
import type { GroupQueue } from "../group_queue.ts";
import { type Operation, reductionCode } from "./operation.ts";
import { numRegisters, type ReductionStep, reductionSteps, STEP_KIND } from "./reduction_tree.ts";
import { numRingSteps, ringChunk } from "./ring.ts";

/** Largest payload of an eager all-reduce: the size of a slot, 16 of which a rank holds per group. */
export const EAGER_MAX_BYTES = 8192;
/** From this size on a large group uses the ring: each rank then talks to one neighbour only. */
const RING_MIN_BYTES = 64 * 1024 * 1024, RING_MIN_SIZE = 16;
/** Bytes summed at a time, so that they stay in the first-level cache until they are pushed. */
export const BLOCK_BYTES = 16 * 1024;

/** For the switch in the hot path. */
const SUM_F32 = reductionCode("sum", "f32"), MAX_F32 = reductionCode("max", "f32");
const SUM_F64 = reductionCode("sum", "f64"), SUM_BF16 = reductionCode("sum", "bf16");

/** Two ranks share the sum in one pass over both memories, which is as fast as a copy into a slot. */
const EAGER_MAX_BYTES_OF_TWO = 512;

/** The algorithm of a size and group, equal on all ranks. */
export function chooseAlgorithm(byteLength: number, size: number): Algorithm {
  if (byteLength <= (size === 2 ? EAGER_MAX_BYTES_OF_TWO : EAGER_MAX_BYTES)) return "eager";
  return byteLength >= RING_MIN_BYTES && size >= RING_MIN_SIZE ? "ring" : "ordered";
}

/** The fastest; the fastest whose sums are the canonical tree, so that their bits do not depend on the size; or a given one. */
export type AlgorithmChoice = Algorithm | "auto" | "tree";

/**
 * The algorithm that was asked for; of "auto", that of the size and group; of "tree", the same unless that is the ring.
 *
 * @throws {RangeError} If the payload is too large to be eager.
 */
export function resolveAlgorithm(asked: AlgorithmChoice, byteLength: number, size: number): Algorithm {
  if (asked === "auto") return chooseAlgorithm(byteLength, size);
  if (asked === "tree") return chooseAlgorithm(byteLength, size) === "eager" ? "eager" : "ordered";
  if (asked === "eager" && byteLength > EAGER_MAX_BYTES) {
    throw new RangeError(
      `Cannot all-reduce ${byteLength} bytes eagerly: at most ${EAGER_MAX_BYTES} are allowed`,
    );
  }
  return asked;
}

/** Elements that are summed at a time: a register holds them as float32 at least. */
export function blockElements({ elementBytes }: Operation): number {
  return BLOCK_BYTES / Math.max(4, elementBytes);
}

/**
 * Sums over the members of a group, in the canonical tree, with scratch registers of {@link BLOCK_BYTES}.
 *
 * Sums of bf16 are those of float32, in the same tree, rounded once at the end.
 */
export class Reducer {
  readonly #steps: readonly ReductionStep[];
  readonly #allocate: (byteLength: number) => number;
  readonly #scratch: number;
  /** Register 0 of bf16, as float32. */
  #wide = 0;

  /** @param allocate Gives the byte offset of that many bytes of this device's memory. */
  constructor(index: number, size: number, allocate: (byteLength: number) => number) {
    this.#steps = reductionSteps(index, size);
    this.#allocate = allocate;
    const registers = numRegisters(this.#steps);
    this.#scratch = registers === 0 ? 0 : allocate(registers * BLOCK_BYTES);
  }

  /** Takes the scratch that sums of a type need beside the registers: before the first one is announced. */
  reserve(dtype: DType): void {
    if (dtype === "bf16" && this.#steps.length > 0 && this.#wide === 0) {
      this.#wide = this.#allocate(BLOCK_BYTES);
    }
  }

  /**
   * Sums `length` elements, at most a block: the own ones at `own`, those of member i at `peerOffsets[i] + delta`.
   * The result replaces the own ones.
   */
  reduceBlock(queue: GroupQueue, operation: Operation, own: number, delta: number, length: number): void {
    const { links, peerOffsets } = queue;
    const { reduction } = operation;
    if (reduction === SUM_BF16) return this.#reduceWide(queue, own, delta, length);
    const self = links[queue.index];
    for (let i = 0; i < this.#steps.length; i++) {
      const { kind, target, source } = this.#steps[i];
      const to = target === 0 ? own : this.#register(target);
      if (kind === STEP_KIND.ADD_PEER) {
        combine(links[source], reduction, to, peerOffsets[source] + delta, length);
      } else if (kind === STEP_KIND.COPY_PEER) {
        links[source].copyFromPeer(to, peerOffsets[source] + delta, length * operation.elementBytes);
      } else {
        combine(self, reduction, to, this.#register(source), length);
      }
    }
    queue.ledger.bytesMoved += (queue.size - 1) * length * operation.elementBytes;
  }

  #reduceWide(queue: GroupQueue, own: number, delta: number, length: number): void {
    const { links, peerOffsets } = queue, self = links[queue.index];
    if (this.#steps.length === 0) return;
    self.widenBf16(this.#wide, own, length);
    for (let i = 0; i < this.#steps.length; i++) {
      const { kind, target, source } = this.#steps[i];
      const to = target === 0 ? this.#wide : this.#register(target);
      if (kind === STEP_KIND.ADD_PEER) links[source].addBf16(to, peerOffsets[source] + delta, length);
      else if (kind === STEP_KIND.COPY_PEER) links[source].widenBf16(to, peerOffsets[source] + delta, length);
      else self.sumF32(to, this.#register(source), length);
    }
    self.narrowBf16(own, this.#wide, length);
    queue.ledger.bytesMoved += (queue.size - 1) * length * 2;
  }

  #register(register: number): number {
    return this.#scratch + (register - 1) * BLOCK_BYTES;
  }
}

/** `own = own (+ or max) peer`, by the reduction's code. */
export function combine(link: PeerLink, reduction: number, own: number, peer: number, length: number): void {
  if (reduction === SUM_F32) link.sumF32(own, peer, length);
  else if (reduction === MAX_F32) link.maxF32(own, peer, length);
  else if (reduction === SUM_F64) link.sumF64(own, peer, length);
  else if (reduction === SUM_BF16) link.sumBf16(own, peer, length);
  else link.sumI32(own, peer, length);
}

/** Does a rank's part of an all-reduce. */
export function workAllReduce(queue: GroupQueue, operation: Operation, reducer: Reducer): boolean {
  const algorithm = ALGORITHMS[operation.algorithm];
  if (algorithm === "ring") return workRing(queue, operation);
  if (algorithm === "ordered") workOrdered(queue, operation, reducer);
  else reducer.reduceBlock(queue, operation, operation.output, 0, operation.length);
  return true;
}

/**
 * Owner of a chunk: sums it over all members in the canonical tree and pushes the result to all of them.
 *
 * Two barriers: everybody has announced before, everybody has done its part before the caller goes on. Nobody
 * but the owner touches a chunk, in any memory, in between.
 *
 * Cost: each rank reads and writes (n - 1)/n x length elements of its peers.
 */
function workOrdered(queue: GroupQueue, operation: Operation, reducer: Reducer): void {
  const { index, size, links, peerOffsets } = queue;
  const { elementBytes, length, output } = operation;
  const start = lineChunkStart(length, size, index), end = lineChunkStart(length, size, index + 1);
  if (size === 2 && (operation.reduction === SUM_F32 || operation.reduction === SUM_BF16)) {
    const link = links[1 - index], own = output + start * elementBytes;
    const peer = peerOffsets[1 - index] + start * elementBytes;
    if (operation.reduction === SUM_F32) link.sumBothF32(own, peer, end - start);
    else link.sumBothBf16(own, peer, end - start);
    queue.ledger.bytesMoved += 2 * elementBytes * (end - start);
    return;
  }
  const block = blockElements(operation);
  for (let at = start; at < end; at += block) {
    const count = Math.min(block, end - at), delta = at * elementBytes;
    reducer.reduceBlock(queue, operation, output + delta, delta, count);
    for (let i = 0; i < size; i++) {
      if (i !== index) links[i].copyToPeer(output + delta, peerOffsets[i] + delta, count * elementBytes);
    }
    queue.ledger.bytesMoved += (size - 1) * count * elementBytes;
  }
}

/**
 * The classic ring, see {@link ringChunk}; each step is one pull from the left neighbour.
 *
 * The sum of a chunk starts at another member for each chunk, so its bits differ from those of `ordered`; they
 * are the same on all ranks. Partial sums of bf16 are rounded at every step.
 *
 * Cost: 2(n - 1) steps; each rank reads 2(n - 1)/n x length elements of one neighbour. [1]
 *
 * [1] Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, JPDC 2009.
 */
function workRing(queue: GroupQueue, operation: Operation): boolean {
  const { index, size, ledger } = queue;
  const { elementBytes, length, output } = operation;
  const left = (index + size - 1) % size;
  const link = queue.links[left], steps = numRingSteps(size);
  while (operation.step < steps) {
    const k = operation.step;
    if (!queue.hasStepped(left, (queue.stepsBefore + k) | 0, operation)) return false;
    const chunk = ringChunk(k, index, size);
    const start = lineChunkStart(length, size, chunk),
      count = lineChunkStart(length, size, chunk + 1) - start;
    const own = output + start * elementBytes, peer = queue.peerOffsets[left] + start * elementBytes;
    if (k < size - 1) combine(link, operation.reduction, own, peer, count);
    else link.copyFromPeer(own, peer, count * elementBytes);
    ledger.bytesMoved += count * elementBytes;
    operation.step = k + 1;
    queue.publishStep(operation, operation.step === steps);
  }
  return true;
}
