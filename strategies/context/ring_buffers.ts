import { type DeviceHeap, type Precision, type Span, subspan } from "../../kernels/mod.ts";

/** Sizes of what goes round a ring. */
export interface RingSizes {
  /** Keys of a rank, over all samples. */
  readonly rows: number;
  /** C, channels of k and of v on this device. */
  readonly channels: number;
  /** Element type of keys and values; by default f32. */
  readonly precision?: Precision;
}

/** Memory that the passes of a ring work in; holds nothing between them. */
export interface RingBlocks {
  /** [rows, 2, C] each: keys and values that are computed with, and those that come or go. */
  readonly keyValues: readonly [Span, Span];
  /** f32 [rows, 2, C] each: the gradients of the same, which are sums over the ring; in the forward pass, results of a step. */
  readonly gradients: readonly [Span, Span];
  /** i32 [2 rows]: where k and v lie among the thirds [rows, 3, C] of a fused projection. */
  readonly ids: Span;
}

/** Blocks of one length, as long as the largest op needs. */
interface Allocation extends RingSizes {
  readonly blocks: RingBlocks;
}

/**
 * Blocks for all rings of a device: a ring uses them within its forward or its backward pass only, so layers and
 * micro-batches share them.
 *
 * Cost: 32 C + 8 bytes for each row of the largest op.
 */
export class RingBuffers {
  readonly #ofHeap = new WeakMap<DeviceHeap, Allocation[]>();

  /** Blocks of these sizes on a heap: those of a larger op in part, or allocated as buffers. */
  take(heap: DeviceHeap, sizes: RingSizes): RingBlocks {
    const known = this.#ofHeap.get(heap) ?? [];
    const fits = known.find(({ rows, channels, precision }) =>
      rows >= sizes.rows && channels === sizes.channels && precision === sizes.precision
    );
    if (fits !== undefined) return partOf(fits.blocks, sizes);
    const blocks = allocate(heap, sizes);
    this.#ofHeap.set(heap, [...known, { ...sizes, blocks }]);
    return blocks;
  }
}

function allocate(heap: DeviceHeap, { rows, channels, precision }: RingSizes): RingBlocks {
  const block = (name: string, dtype?: Precision) =>
    heap.allocate(`${name} of ring attention`, 2 * rows * channels, "buffers", dtype);
  const ids = heap.allocate("places of ring attention", 2 * rows, "buffers", "i32");
  if (heap.memory !== undefined) {
    heap.i32(ids).forEach((_, i, all) => all[i] = 3 * Math.floor(i / 2) + 1 + i % 2);
  }
  return {
    keyValues: [block("keys and values", precision), block("keys and values", precision)],
    gradients: [block("gradients"), block("gradients")],
    ids,
  };
}

function partOf({ keyValues, gradients, ids }: RingBlocks, { rows, channels }: RingSizes): RingBlocks {
  const part = (span: Span) => subspan(span, 0, 2 * rows * channels);
  return {
    keyValues: [part(keyValues[0]), part(keyValues[1])],
    gradients: [part(gradients[0]), part(gradients[1])],
    ids: subspan(ids, 0, 2 * rows),
  };
}
