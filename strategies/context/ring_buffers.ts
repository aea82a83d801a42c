import { type DeviceHeap, type Precision, type Span, subspan } from "../../kernels/mod.ts";
import type { AttentionInputs } from "../../nn/mod.ts";
import { allocatePlaces, keyChannels, type KeyValuePlaces, packingKey } from "./key_value_blocks.ts";

/** Memory that the passes of a ring work in; holds nothing between them. Rows are those of a rank, over all samples. */
export interface RingBlocks {
  /** [2, rows, C] each: keys and values that are computed with, and those that come or go. */
  readonly keyValues: readonly [Span, Span];
  /** f32 [2, rows, C] each: the gradients of the same, which are sums over the ring. */
  readonly gradients: readonly [Span, Span];
  /** f32 [rows, H D] at least, each: results of a step of the forward pass, in the memory of the gradients. */
  readonly results: readonly [Span, Span];
  /** Where k and v lie in their tensors. */
  readonly places: KeyValuePlaces;
}

/** Blocks of one length, as long as the largest op needs. */
interface Allocation {
  readonly rows: number;
  readonly key: string;
  readonly blocks: RingBlocks;
}

/**
 * Blocks for all rings of a device: a ring uses them within its forward or its backward pass only, so layers and
 * micro-batches share them.
 *
 * Cost: 16 C + 8 max(2 C, H D) + 8 bytes for each row of the largest op; C = G D channels of k and of v on this device.
 */
export class RingBuffers {
  readonly #ofHeap = new WeakMap<DeviceHeap, Allocation[]>();

  /**
   * Blocks for these inputs on a heap: those of a larger op in part, or allocated as buffers.
   *
   * @param precision Element type of keys and values.
   */
  take(heap: DeviceHeap, inputs: AttentionInputs, precision: Precision): RingBlocks {
    const [batch, tokens] = inputs.k.tensor.shape, rows = batch * tokens;
    const key = `${packingKey(inputs)} ${inputs.heads} ${precision}`, known = this.#ofHeap.get(heap) ?? [];
    const fits = known.find((other) => other.rows >= rows && other.key === key);
    if (fits !== undefined) return partOf(fits, rows);
    const blocks = allocate(heap, inputs, rows, precision);
    this.#ofHeap.set(heap, [...known, { rows, key, blocks }]);
    return blocks;
  }
}

function allocate(heap: DeviceHeap, inputs: AttentionInputs, rows: number, precision: Precision): RingBlocks {
  const { heads, headDim } = inputs, size = 2 * rows * keyChannels(inputs), what = "ring attention";
  const pair = (name: string, length: number, dtype?: Precision): [Span, Span] => [
    heap.allocate(`${name} of ${what}`, length, "buffers", dtype),
    heap.allocate(`${name} of ${what}`, length, "buffers", dtype),
  ];
  const keyValues = pair("keys and values", size, precision);
  const results = pair("gradients", Math.max(size, rows * heads * headDim));
  const gradients = mapPair(results, (span) => subspan(span, 0, size));
  return { keyValues, gradients, results, places: allocatePlaces(heap, inputs, what) };
}

/** The blocks of an op that has fewer rows. */
function partOf({ rows: all, blocks }: Allocation, rows: number): RingBlocks {
  const { keyValues, gradients, results, places: { k, v } } = blocks;
  const part = (span: Span) => subspan(span, 0, span.length / all * rows);
  return {
    keyValues: mapPair(keyValues, part),
    gradients: mapPair(gradients, part),
    results: mapPair(results, part),
    places: { k: part(k), v: part(v) },
  };
}

function mapPair([a, b]: readonly [Span, Span], change: (span: Span) => Span): [Span, Span] {
  return [change(a), change(b)];
}
