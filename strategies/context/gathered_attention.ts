/**
 * Causal self-attention over sequences of which every rank of a group holds a part, for exact numerics: keys and values
 * of all ranks are gathered, so each query sees its keys in the order and bits of one device; gradients of keys and
 * values are summed over the ranks as one device sums them over its queries.
 *
 * Letters: B samples, T tokens, H heads of queries, G heads of keys, D the width of a head, C = G D channels of k and of
 * v, all on this device; cp ranks; n = T / cp tokens on each rank.
 *
 * Source: Llama Team, The Llama 3 Herd of Models, 2024, section 3.3.2 (all-gather based context parallelism).
 */
import type { Group } from "../../collectives/mod.ts";
import type { AttentionArgs, DeviceHeap, Span } from "../../kernels/mod.ts";
import {
  allocateAttention,
  attend,
  attentionArgs,
  attentionGradientArgs,
  type AttentionInputs,
  attentionTargets,
  type BackwardPass,
  firstKeysOf,
  type Gradients,
  headRows,
  inputTensors,
  type Tape,
  type Tensor,
} from "../../nn/mod.ts";
import { contextPositions } from "./context_placement.ts";
import {
  allocatePlaces,
  blockRows,
  keyChannels,
  type KeyValuePlaces,
  packingKey,
  packingOf,
  unpackingOf,
} from "./key_value_blocks.ts";

/** How to run it. */
export interface GatheredAttentionOptions {
  /** Ranks that hold parts of the same sequences, as `contextPositions` says. */
  readonly group: Group;
  /** Name of the layer, in reports. */
  readonly label: string;
  /** Memory that ops of one device share. */
  readonly buffers: GatherBuffers;
}

/** Memory of one op; holds nothing between its passes. */
export interface GatherBlocks {
  /** [2, B, n, C]: this rank's keys and values, or their gradients. */
  readonly own: Span;
  /** [cp, 2, B, n, C]: those of all ranks, in the order of ranks. */
  readonly ofRanks: Span;
  /** [2, B, T, C]: keys and values in the order of the sequence. */
  readonly keyValues: Span;
  /** [2, B, T, C]: their gradients. */
  readonly gradients: Span;
  /** Where k and v of this rank lie in their tensors. */
  readonly places: KeyValuePlaces;
  /** i32 [2, B, T]: place among the ranks' rows of each row of keys and values. */
  readonly toSequence: Span;
  /** i32 [cp, 2, B, n]: the inverse. */
  readonly toRanks: Span;
}

/**
 * Blocks for all attention layers of a device, which use them one after the other.
 *
 * Cost: (6 T + 4 n) B C floats and (4 T + 2 n) B ids of the largest batch.
 */
export class GatherBuffers {
  readonly #known = new WeakMap<DeviceHeap, Map<string, GatherBlocks>>();

  /** Blocks for these inputs on a heap, of one of so many ranks. */
  take(heap: DeviceHeap, inputs: AttentionInputs, ranks: number): GatherBlocks {
    const [batch, tokens] = inputs.k.tensor.shape, key = [batch, tokens, packingKey(inputs)].join();
    const ofHeap = this.#known.get(heap) ?? new Map<string, GatherBlocks>(), known = ofHeap.get(key);
    if (known !== undefined) return known;
    const rows = 2 * batch * tokens, what = "gathered attention";
    const floats = (name: string, length: number) =>
      heap.allocate(`${name} of ${what}`, length * keyChannels(inputs), "buffers");
    const ids = (name: string) => heap.allocate(`${name} of ${what}`, rows * ranks, "buffers", "i32");
    const blocks = {
      own: floats("own keys and values", rows),
      ofRanks: floats("keys and values by rank", rows * ranks),
      keyValues: floats("keys and values", rows * ranks),
      gradients: floats("gradients", rows * ranks),
      places: allocatePlaces(heap, inputs, what),
      toSequence: ids("places of tokens"),
      toRanks: ids("places on ranks"),
    };
    if (heap.memory !== undefined) fillIds(heap, blocks, { batch, tokens, ranks });
    this.#known.set(heap, ofHeap.set(key, blocks));
    return blocks;
  }
}

function fillIds(
  heap: DeviceHeap,
  blocks: GatherBlocks,
  { batch, tokens, ranks }: { batch: number; tokens: number; ranks: number },
): void {
  const toSequence = heap.i32(blocks.toSequence), toRanks = heap.i32(blocks.toRanks), all = tokens * ranks;
  for (let rank = 0; rank < ranks; rank++) {
    contextPositions(all, ranks, rank).forEach((position, t) => {
      // Samples of keys, then samples of values.
      for (let half = 0; half < 2 * batch; half++) {
        const place = (rank * 2 * batch + half) * tokens + t;
        toSequence[half * all + position] = place;
        toRanks[place] = half * all + position;
      }
    });
  }
}

/**
 * As `attend`, of this rank's queries with the keys of all ranks.
 *
 * Shapes: q [B, n, H D], k and v [B, n, G D], result [B, n, H D]. Rows are the tokens of
 * `contextPositions(T, cp, index)`.
 * Placement: inputs and result are sharded by tokens over the group.
 * Cost: an all-gather of 2 B T C floats forward, the same and a reduce-scatter of as many backward.
 */
export function gatheredAttention(
  tape: Tape,
  inputs: AttentionInputs,
  options: GatheredAttentionOptions,
): Tensor {
  const { group, label, buffers } = options, { backend, heap } = tape;
  if (group.size === 1) return attend(tape, inputs);
  const { out, logSumExp, tokens, ...sizes } = allocateAttention(tape, inputs), keys = tokens * group.size;
  const blocks = buffers.take(heap, inputs, group.size), { own, ofRanks, keyValues, toSequence } = blocks;
  const pack = packingOf(inputs, blocks.places, own), cols = keyChannels(inputs);
  const order = { rows: toSequence.length, cols, ids: toSequence, table: ofRanks, out: keyValues };
  const gather = () => {
    for (const half of pack) backend.gather(half);
    group.allGather(own, ofRanks, { label: `${label}: keys and values` });
    backend.gather(order);
  };
  const args = attentionArgs(
    {
      ...{ ...sizes, queries: tokens, keys, causal: true, logSumExp },
      queryRuns: tape.exact?.queryRuns((index) => tape.positionOf(index)),
      ...firstKeysOf(tape, inputs.window, inputs.q.tensor.shape),
    },
    {
      ...blockRows(keyValues, inputs, keys),
      ...{ q: headRows(inputs.q), out: headRows({ tensor: out, column: 0 }) },
    },
  );
  const op = { inputs, out, args, blocks, gather, group, label };
  return tape.record({
    name: `gathered ${label}`,
    inputs: inputTensors(inputs),
    output: out,
    forward: () => {
      gather();
      backend.attention(args);
    },
    backward: (gradients) => gatheredBackward(tape, gradients, op),
  });
}

interface GatheredBackward extends Pick<GatheredAttentionOptions, "group" | "label"> {
  readonly inputs: AttentionInputs;
  readonly out: Tensor;
  readonly args: AttentionArgs;
  readonly blocks: GatherBlocks;
  /** Fills `blocks.keyValues`: other layers have used it since. */
  readonly gather: () => void;
}

function gatheredBackward(
  { backend }: Tape,
  gradients: Gradients,
  { inputs, out, args, blocks, gather, group, label }: GatheredBackward,
): BackwardPass {
  const dOut = gradients.output(out), targets = attentionTargets(gradients, inputs);
  if (targets === undefined) return {};
  const { own, ofRanks, gradients: table, places, toRanks } = blocks, { spans } = targets;
  const gradient = attentionGradientArgs(args, {
    dOut,
    ...blockRows(table, inputs, args.keys),
    q: targets.q,
  });
  const spread = { rows: toRanks.length, cols: keyChannels(inputs), ids: toRanks, table, out: ofRanks };
  const unpack = unpackingOf(inputs, places, { block: own, spans });
  const cleared = new Set(unpack.map(({ table }) => table));
  return {
    input: () => {
      gather();
      for (const span of cleared) backend.fill(0, span);
      backend.attentionBackward(gradient);
      backend.gather(spread);
      group.reduceScatter(ofRanks, own, { label: `${label}: gradients of keys and values` });
      for (const half of unpack) backend.scatterAdd(half);
      targets.deliver();
    },
  };
}
