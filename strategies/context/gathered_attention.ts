/**
 * Causal self-attention over sequences of which every rank of a group holds a part, for exact numerics: keys and values
 * of all ranks are gathered, so each query sees its keys in the order and bits of one device; gradients of keys and
 * values are summed over the ranks as one device sums them over its queries.
 *
 * Letters: B samples, T tokens, C channels of this device, cp ranks; n = T / cp tokens on each rank.
 *
 * Source: Llama Team, The Llama 3 Herd of Models, 2024, section 3.3.2 (all-gather based context parallelism).
 */
import type { Group } from "../../collectives/mod.ts";
import { type AttentionArgs, type DeviceHeap, type Span, subspan } from "../../kernels/mod.ts";
import {
  type BackwardPass,
  causalSelfAttention,
  type Gradients,
  type Tape,
  type Tensor,
} from "../../nn/mod.ts";
import { contextPositions } from "./context_placement.ts";

/** How to run it. */
export interface GatheredAttentionOptions {
  /** Ranks that hold parts of the same sequences, as `contextPositions` says. */
  readonly group: Group;
  /** D, the width of a head. */
  readonly headDim: number;
  /** Name of the layer, in reports. */
  readonly label: string;
  /** Memory that ops of one device share. */
  readonly buffers: GatherBuffers;
}

/** Memory of one op; holds nothing between its passes. */
export interface GatherBlocks {
  /** [B, n, 2, C]: this rank's keys and values, or their gradients. */
  readonly own: Span;
  /** [cp, B, n, 2, C]: those of all ranks, in the order of ranks. */
  readonly ofRanks: Span;
  /** [B, T, 2, C]: keys and values in the order of the sequence. */
  readonly keyValues: Span;
  /** [B, T, 2, C]: their gradients. */
  readonly gradients: Span;
  /** i32 [2 B n]: where k and v lie among the thirds [B n, 3, C] of a fused projection. */
  readonly thirds: Span;
  /** i32 [B T]: place among the ranks' tokens of each token of the sequences. */
  readonly toSequence: Span;
  /** i32 [B T]: the inverse. */
  readonly toRanks: Span;
}

/** Sizes that the blocks follow from. */
export interface GatherSizes {
  /** B. */
  readonly batch: number;
  /** n: tokens of a sequence that a rank has. */
  readonly tokens: number;
  /** C. */
  readonly channels: number;
  /** cp. */
  readonly ranks: number;
}

/**
 * Blocks for all attention layers of a device, which use them one after the other.
 *
 * Cost: (6 T + 4 n) B C floats and ids of the largest batch.
 */
export class GatherBuffers {
  readonly #known = new WeakMap<DeviceHeap, Map<string, GatherBlocks>>();

  /** Blocks of these sizes on a heap. */
  take(heap: DeviceHeap, sizes: GatherSizes): GatherBlocks {
    const { batch, tokens, channels, ranks } = sizes, key = [batch, tokens, channels].join();
    const ofHeap = this.#known.get(heap) ?? new Map<string, GatherBlocks>(), known = ofHeap.get(key);
    if (known !== undefined) return known;
    const floats = (what: string, rows: number) =>
      heap.allocate(`${what} of gathered attention`, 2 * batch * rows * channels, "buffers");
    const ids = (what: string, length: number) =>
      heap.allocate(`${what} of gathered attention`, length, "buffers", "i32");
    const all = tokens * ranks,
      blocks = {
        own: floats("own keys and values", tokens),
        ofRanks: floats("keys and values by rank", all),
        keyValues: floats("keys and values", all),
        gradients: floats("gradients", all),
        thirds: ids("places of keys", 2 * batch * tokens),
        toSequence: ids("places of tokens", batch * all),
        toRanks: ids("places on ranks", batch * all),
      };
    if (heap.memory !== undefined) fillIds(heap, blocks, sizes);
    this.#known.set(heap, ofHeap.set(key, blocks));
    return blocks;
  }
}

function fillIds(heap: DeviceHeap, blocks: GatherBlocks, { batch, tokens, ranks }: GatherSizes): void {
  heap.i32(blocks.thirds).forEach((_, i, all) => all[i] = 3 * Math.floor(i / 2) + 1 + i % 2);
  const toSequence = heap.i32(blocks.toSequence), toRanks = heap.i32(blocks.toRanks), all = tokens * ranks;
  for (let rank = 0; rank < ranks; rank++) {
    contextPositions(all, ranks, rank).forEach((position, t) => {
      for (let b = 0; b < batch; b++) {
        const place = (rank * batch + b) * tokens + t;
        toSequence[b * all + position] = place;
        toRanks[place] = b * all + position;
      }
    });
  }
}

/**
 * As `causalSelfAttention`, of this rank's queries with the keys of all ranks.
 *
 * Shapes: qkv [B, n, 3C], result [B, n, C]; C may be that of a part of the heads. Rows are the tokens of
 * `contextPositions(T, cp, index)`.
 * Placement: qkv and result are sharded by tokens over the group.
 * Cost: an all-gather of 2 B T C floats forward, the same and a reduce-scatter of as many backward.
 */
export function gatheredAttention(tape: Tape, qkv: Tensor, options: GatheredAttentionOptions): Tensor {
  const { group, headDim, label, buffers } = options, { backend, heap } = tape;
  if (group.size === 1) return causalSelfAttention(tape, qkv, headDim);
  const [batch, tokens, width] = qkv.shape, channels = width / 3, heads = channels / headDim;
  const out = tape.output("attention", [batch, tokens, channels], [qkv]);
  const logSumExp = tape.scratch("attention log-sum-exp", batch * heads * tokens);
  const blocks = buffers.take(heap, { batch, tokens, channels, ranks: group.size });
  const { own, ofRanks, keyValues, thirds, toSequence } = blocks;
  const pack = { rows: thirds.length, cols: channels, ids: thirds, table: qkv.span, out: own };
  const order = {
    rows: toSequence.length,
    cols: 2 * channels,
    ids: toSequence,
    table: ofRanks,
    out: keyValues,
  };
  const gather = () => {
    backend.gather(pack);
    group.allGather(own, ofRanks, { label: `${label}: keys and values` });
    backend.gather(order);
  };
  const args = attentionArgs(tape, {
    qkv,
    headDim,
    out: out.span,
    logSumExp,
    keyValues,
    keys: tokens * group.size,
  });
  const op = { qkv, out, args, blocks, gather, group, label };
  return tape.record({
    name: `gathered ${label}`,
    inputs: [qkv],
    output: out,
    forward: () => {
      gather();
      backend.attention(args);
    },
    backward: (gradients) => gatheredBackward(tape, gradients, op),
  });
}

interface GatheredBackward extends Pick<GatheredAttentionOptions, "group" | "label"> {
  readonly qkv: Tensor;
  readonly out: Tensor;
  readonly args: AttentionArgs;
  readonly blocks: GatherBlocks;
  /** Fills `blocks.keyValues`: other layers have used it since. */
  readonly gather: () => void;
}

function gatheredBackward(
  { backend }: Tape,
  gradients: Gradients,
  { qkv, out, args, blocks, gather, group, label }: GatheredBackward,
): BackwardPass {
  const dOut = gradients.output(out), target = gradients.inputOverwritten(qkv), channels = qkv.shape[2] / 3;
  if (target === undefined) return {};
  const { own, ofRanks, gradients: table, thirds, toRanks } = blocks;
  const gradient = { ...args, dOut, dQ: target.span, dK: table, dV: subspan(table, channels) };
  const spread = { rows: toRanks.length, cols: 2 * channels, ids: toRanks, table, out: ofRanks };
  const unpack = { rows: thirds.length, cols: channels, ids: thirds, x: own, table: target.span };
  return {
    input: () => {
      gather();
      backend.fill(0, target.span);
      backend.attentionBackward(gradient);
      backend.gather(spread);
      group.reduceScatter(ofRanks, own, { label: `${label}: gradients of keys and values` });
      backend.scatterAdd(unpack);
      target.after?.();
    },
  };
}

interface AttentionParts {
  readonly qkv: Tensor;
  readonly headDim: number;
  readonly out: Span;
  readonly logSumExp: Span;
  readonly keyValues: Span;
  readonly keys: number;
}

function attentionArgs(
  tape: Tape,
  { qkv, headDim, out, logSumExp, keyValues, keys }: AttentionParts,
): AttentionArgs {
  const [batch, tokens, width] = qkv.shape, channels = width / 3, ld = 2 * channels;
  return {
    ...{ batch, heads: channels / headDim, queries: tokens, keys, headDim, scale: 1 / Math.sqrt(headDim) },
    ...{ causal: true, queryRuns: tape.exact?.queryRuns((index) => tape.positionOf(index)) },
    ...{
      q: qkv.span,
      ldQ: width,
      strideQ: tokens * width,
      out,
      ldOut: channels,
      strideOut: tokens * channels,
    },
    ...{
      k: keyValues,
      ldK: ld,
      strideK: keys * ld,
      v: subspan(keyValues, channels),
      ldV: ld,
      strideV: keys * ld,
    },
    logSumExp,
  };
}
