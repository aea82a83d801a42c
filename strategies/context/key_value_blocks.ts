/**
 * Keys and values of a rank as one block that can be sent: packed from where they lie, and their gradients the way back.
 *
 * Letters: B samples, n tokens of each on this rank, C = G D channels of k and of v.
 */
import {
  type DeviceHeap,
  type GatherArgs,
  type ScatterAddArgs,
  type Span,
  subspan,
} from "../../kernels/mod.ts";
import type { AttentionInputs, AttentionTargets, ColumnView, HeadRows } from "../../nn/mod.ts";

/** C. */
export function keyChannels({ kvHeads, headDim }: AttentionInputs): number {
  return kvHeads * headDim;
}

/** Where k and v lie among rows of C elements: i32 [B n] each. */
export interface KeyValuePlaces {
  /** Of k. */
  readonly k: Span;
  /** Of v. */
  readonly v: Span;
}

/**
 * Row i of a view is row `every * i + first`. C divides the width of the tensor, as it is what q, k and v take, and heads
 * of queries share those of keys evenly.
 */
function placeOf({ tensor, column }: ColumnView, channels: number): { every: number; first: number } {
  return { every: tensor.shape[2] / channels, first: column / channels };
}

/** A text that is equal for inputs whose k and v are packed alike. */
export function packingKey(inputs: AttentionInputs): string {
  const channels = keyChannels(inputs), { k, v } = inputs;
  return [k, v].map((view) => placeOf(view, channels)).map(({ every, first }) => `${first}/${every}`)
    .concat(`${channels}`).join();
}

/** Allocates the places of the rows of the inputs, as buffers. */
export function allocatePlaces(heap: DeviceHeap, inputs: AttentionInputs, what: string): KeyValuePlaces {
  const [batch, tokens] = inputs.k.tensor.shape, channels = keyChannels(inputs);
  const places = (view: ColumnView, name: string) => {
    const ids = heap.allocate(`places of ${name} of ${what}`, batch * tokens, "buffers", "i32");
    const { every, first } = placeOf(view, channels);
    if (heap.memory !== undefined) heap.i32(ids).forEach((_, i, all) => all[i] = every * i + first);
    return ids;
  };
  return { k: places(inputs.k, "keys"), v: places(inputs.v, "values") };
}

/** A block [2, B n, C] of keys, then values, as rows of heads; by default n is that of the inputs. */
export function blockRows(
  block: Span,
  inputs: AttentionInputs,
  tokens = inputs.k.tensor.shape[1],
): { k: HeadRows; v: HeadRows } {
  const ld = keyChannels(inputs), place = { ld, stride: tokens * ld };
  return { k: { span: block, ...place }, v: { span: subspan(block, block.length / 2), ...place } };
}

/** What copies k and v to a block [2, B n, C]. */
export function packingOf(inputs: AttentionInputs, places: KeyValuePlaces, block: Span): GatherArgs[] {
  const cols = keyChannels(inputs);
  return (["k", "v"] as const).map((name, half) => {
    const ids = places[name], rows = ids.length, size = rows * cols;
    return { rows, cols, ids, table: inputs[name].tensor.span, out: subspan(block, half * size, size) };
  });
}

/** What adds a block [2, B n, C] of gradients to those of k and v. */
export function unpackingOf(
  inputs: AttentionInputs,
  places: KeyValuePlaces,
  { block, spans }: { readonly block: Span } & Pick<AttentionTargets, "spans">,
): ScatterAddArgs[] {
  const cols = keyChannels(inputs);
  return (["k", "v"] as const).map((name, half) => {
    const ids = places[name], rows = ids.length, size = rows * cols;
    return { rows, cols, ids, x: subspan(block, half * size, size), table: spans.get(inputs[name].tensor)! };
  });
}
