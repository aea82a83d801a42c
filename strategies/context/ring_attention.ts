/**
 * Causal self-attention over sequences of which every rank of a group holds a part: keys and values go round a ring.
 *
 * ```
 * forward, cp = 3     rank 0                 rank 1                 rank 2
 * step 0              q0 x kv0  --kv0-->     q1 x kv1  --kv1-->     q2 x kv2  --kv2--> rank 0
 * step 1              q0 x kv2  --kv2-->     q1 x kv0  --kv0-->     q2 x kv1  --kv1--> rank 0
 * step 2              q0 x kv1               q1 x kv2               q2 x kv0
 * ```
 *
 * A block is on its way while the one before it is computed with. What a step gives is merged by the log-sum-exps of both
 * parts. The backward pass sends the blocks round once more, and behind each block the sum of its gradients, which after
 * the last step goes one place further: to the rank that owns the block.
 *
 * Letters: B samples, T tokens, C channels of this device, H heads, k step; n = T / cp tokens on each rank.
 *
 * Source: Liu, Zaharia and Abbeel, Ring Attention with Blockwise Transformers, 2023, section 3.
 */
import type { Group, Pending } from "../../collectives/mod.ts";
import {
  type AttentionArgs,
  type AttentionBackwardArgs,
  type GatherArgs,
  type MergeAttentionArgs,
  type ScatterAddArgs,
  type Span,
  subspan,
} from "../../kernels/mod.ts";
import {
  type BackwardPass,
  causalSelfAttention,
  formatShape,
  type GradientTarget,
  type Tape,
  type Tensor,
} from "../../nn/mod.ts";
import { ringSteps } from "./context_placement.ts";
import type { RingBlocks, RingBuffers } from "./ring_buffers.ts";

/** How to run a ring. */
export interface RingAttentionOptions {
  /** Ranks that hold parts of the same sequences, as `contextPositions` says. */
  readonly group: Group;
  /** D, the width of a head. */
  readonly headDim: number;
  /** Name of the layer, in reports. */
  readonly label: string;
  /** Memory of the blocks; rings of one device share it. */
  readonly buffers: RingBuffers;
}

/**
 * As `causalSelfAttention`, of this rank's queries with the keys of all ranks.
 *
 * Shapes: qkv [B, T / cp, 3C], result [B, T / cp, C]; C may be that of a part of the heads. Rows are the tokens of
 * `contextPositions(T, cp, index)`.
 * Placement: qkv and result are sharded by tokens over the group.
 * Cost: every rank computes 2 cp + 1 pairs of chunks, two of them half. It moves (cp - 1) / cp x 2 B T C x 4 bytes
 * forward and twice that backward.
 *
 * @throws {RangeError} If the last dim of qkv is no multiple of 3 D, or a row has an odd number of tokens.
 */
export function ringAttention(tape: Tape, qkv: Tensor, options: RingAttentionOptions): Tensor {
  if (options.group.size === 1) return causalSelfAttention(tape, qkv, options.headDim);
  const ring = planRing(tape, qkv, options);
  return tape.record({
    name: `ring of ${options.label}`,
    inputs: [qkv],
    output: ring.out,
    forward: () => forward(ring),
    backward: (gradients): BackwardPass => {
      const dOut = gradients.output(ring.out), target = gradients.input(qkv);
      if (target === undefined) return {};
      const plan = planBackward(ring, dOut, target);
      return { input: () => backward(ring, plan) };
    },
  });
}

/** What an op works with: built once, when it is recorded. */
interface Ring extends RingAttentionOptions {
  readonly tape: Tape;
  readonly blocks: RingBlocks;
  /** [B, n, C]. */
  readonly out: Tensor;
  /** Copies k and v of the fused projection to block 0. */
  readonly pack: GatherArgs;
  /** Step k: block k mod 2, in step 0 the own keys in place; with the results of the whole ring. */
  readonly steps: readonly AttentionArgs[];
  /** The same with results of their own. */
  readonly parts: readonly AttentionArgs[];
  /** Adds those to the results of the ring. */
  readonly merges: readonly MergeAttentionArgs[];
}

function planRing(tape: Tape, qkv: Tensor, options: RingAttentionOptions): Ring {
  const { group, headDim, buffers } = options, [batch, tokens, width] = qkv.shape;
  const channels = width / 3, heads = channels / headDim;
  if (qkv.shape.length !== 3 || !Number.isInteger(heads)) {
    throw new RangeError(
      `Cannot split ${qkv.name} ${
        formatShape(qkv.shape)
      } into q, k and v with heads of ${headDim}: the last dim ` +
        `must be a multiple of 3 x ${headDim}`,
    );
  }
  const out = tape.output("attention", [batch, tokens, channels], [qkv]);
  const logSumExp = tape.scratch("attention log-sum-exp", batch * heads * tokens);
  const blocks = buffers.take(tape.heap, { rows: batch * tokens, channels, precision: tape.precision });
  const pack = { rows: 2 * batch * tokens, cols: channels, ids: blocks.ids };
  const sizes = { batch, heads, headDim, scale: 1 / Math.sqrt(headDim) };
  const result = { ldOut: channels, strideOut: tokens * channels, strideLogSumExp: tokens };
  const steps = ringSteps(tokens * group.size, group.size, group.index).map((step, k): AttentionArgs => ({
    ...{ ...sizes, queries: step.queries.count, keys: step.keys.count, causal: step.causal },
    ...{ q: subspan(qkv.span, step.queries.start * width), ldQ: width, strideQ: tokens * width },
    ...keysOf(
      k === 0 ? qkv.span : blocks.keyValues[k % 2],
      { channels, tokens, first: step.keys.start },
      k === 0,
    ),
    ...{ ...result, out: subspan(out.span, step.queries.start * channels) },
    logSumExp: subspan(logSumExp, step.queries.start),
  }));
  const [part, partLogSumExp] = blocks.gradients;
  const parts = steps.map((step): AttentionArgs => {
    const strideOut = step.queries * channels;
    return { ...step, out: part, strideOut, logSumExp: partLogSumExp, strideLogSumExp: undefined };
  });
  const merges = steps.map((step): MergeAttentionArgs => ({ ...step, part, partLogSumExp }));
  return {
    ...options,
    ...{ tape, blocks, out, steps, parts, merges },
    pack: { ...pack, table: qkv.span, out: blocks.keyValues[0] },
  };
}

/** Keys and values from token `first` on: in a block [.., n, 2C], or in a fused projection [.., n, 3C] behind q. */
function keysOf(
  span: Span,
  { channels, tokens, first }: { channels: number; tokens: number; first: number },
  isFused: boolean,
): Pick<AttentionArgs, "k" | "v" | "ldK" | "ldV" | "strideK" | "strideV"> {
  const ld = (isFused ? 3 : 2) * channels, stride = tokens * ld, k = first * ld + (isFused ? channels : 0);
  const spans = { k: subspan(span, k), v: subspan(span, k + channels) };
  return { ...spans, ldK: ld, ldV: ld, strideK: stride, strideV: stride };
}

function forward(ring: Ring): void {
  const { tape: { backend }, group: { size }, steps, parts, merges } = ring;
  backend.gather(ring.pack);
  let pass = passBlock(ring, 0);
  backend.attention(steps[0]);
  for (let k = 1; k < size; k++) {
    settle(pass);
    if (k + 1 < size) pass = passBlock(ring, k);
    backend.attention(parts[k]);
    backend.mergeAttention(merges[k]);
  }
}

/** The kernel arguments of a backward pass. */
interface BackwardPlan {
  readonly steps: readonly AttentionBackwardArgs[];
  /** Adds the gradients of the own block, back from the ring, to those of the fused projection. */
  readonly unpack: ScatterAddArgs;
}

function planBackward(ring: Ring, dOut: Span, target: GradientTarget): BackwardPlan {
  const { blocks, group, pack: { rows, cols: channels, ids } } = ring, [, tokens] = ring.out.shape;
  const places = ringSteps(tokens * group.size, group.size, group.index);
  const steps = ring.steps.map((step, k): AttentionBackwardArgs => {
    const { queries, keys } = places[k], span = k === 0 ? target.span : blocks.gradients[k % 2];
    const { k: dK, v: dV } = keysOf(span, { channels, tokens, first: keys.start }, k === 0);
    const dQ = subspan(target.span, queries.start * 3 * channels);
    const accumulate = k > 0 || target.accumulate;
    return { ...step, dOut: subspan(dOut, queries.start * channels), dQ, dK, dV, accumulate };
  });
  const x = blocks.gradients[group.size % 2];
  return { steps, unpack: { rows, cols: channels, ids, x, table: target.span } };
}

function backward(ring: Ring, { steps, unpack }: BackwardPlan): void {
  const { tape: { backend }, group: { size }, blocks } = ring;
  backend.gather(ring.pack);
  let pass = passBlock(ring, 0), gradients: Pending[] = [];
  backend.attentionBackward(steps[0]);
  for (let k = 1; k < size; k++) {
    settle(pass);
    if (k + 1 < size) pass = passBlock(ring, k);
    // The block of step 1 comes from its owner: the sum of its gradients begins here.
    if (k === 1) backend.fill(0, blocks.gradients[1]);
    settle(gradients);
    backend.attentionBackward(steps[k]);
    gradients = passGradients(ring, k);
  }
  settle(gradients);
  backend.scatterAdd(unpack);
}

/** Sends the block of step k on, and asks for that of step k + 1, which takes the place of that of step k - 1. */
function passBlock(ring: Ring, k: number): Pending[] {
  return pass(ring, ring.blocks.keyValues, k, "keys and values");
}

/** The same of the gradients: they follow their block. */
function passGradients(ring: Ring, k: number): Pending[] {
  return pass(ring, ring.blocks.gradients, k, "gradients of keys and values");
}

function pass({ group, label }: Ring, blocks: readonly [Span, Span], k: number, what: string): Pending[] {
  const { size, index } = group, options = { label: `${label}: ${what}` };
  return [
    group.startSend(blocks[k % 2], (index + 1) % size, options),
    group.startRecv(blocks[(k + 1) % 2], (index + size - 1) % size, options),
  ];
}

/** Returns when a block has come, and the one before may be overwritten. */
function settle(pass: readonly Pending[]): void {
  for (const pending of pass) pending.wait();
}
