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
 * Letters: B samples, T tokens, H heads of queries, G heads of keys, D the width of a head, C = G D channels of k and of
 * v, all on this device; k step; n = T / cp tokens on each rank.
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
  allocateAttention,
  attend,
  attentionArgs,
  attentionGradientArgs,
  type AttentionInputs,
  type AttentionTargets,
  attentionTargets,
  type BackwardPass,
  type FirstKeys,
  headRows,
  inputTensors,
  skipRows,
  type Tape,
  type Tensor,
  windowKeys,
} from "../../nn/mod.ts";
import { type RingStep, ringSteps, windowOfStep } from "./context_placement.ts";
import { blockRows, packingOf, unpackingOf } from "./key_value_blocks.ts";
import type { RingBlocks, RingBuffers } from "./ring_buffers.ts";

/** How to run a ring. */
export interface RingAttentionOptions {
  /** Ranks that hold parts of the same sequences, as `contextPositions` says. */
  readonly group: Group;
  /** Name of the layer, in reports. */
  readonly label: string;
  /** Memory of the blocks; rings of one device share it. */
  readonly buffers: RingBuffers;
}

/**
 * As `attend`, of this rank's queries with the keys of all ranks.
 *
 * Shapes: q [B, T / cp, H D], k and v [B, T / cp, G D], result [B, T / cp, H D]. Rows are the tokens of
 * `contextPositions(T, cp, index)`.
 * Placement: inputs and result are sharded by tokens over the group.
 * Cost: every rank computes 2 cp + 1 pairs of chunks, two of them half. It moves (cp - 1) / cp x 2 B T C x 4 bytes
 * forward and twice that backward.
 *
 * @throws {RangeError} If the inputs do not fit each other, or a row has an odd number of tokens.
 */
export function ringAttention(tape: Tape, inputs: AttentionInputs, options: RingAttentionOptions): Tensor {
  if (options.group.size === 1) return attend(tape, inputs);
  const ring = planRing(tape, inputs, options);
  return tape.record({
    name: `ring of ${options.label}`,
    inputs: inputTensors(inputs),
    output: ring.out,
    forward: () => forward(ring),
    backward: (gradients): BackwardPass => {
      const dOut = gradients.output(ring.out), targets = attentionTargets(gradients, inputs);
      if (targets === undefined) return {};
      const plan = planBackward(ring, dOut, targets);
      return { input: () => backward(ring, plan) };
    },
  });
}

/** What an op works with: built once, when it is recorded. */
interface Ring extends RingAttentionOptions {
  readonly tape: Tape;
  readonly inputs: AttentionInputs;
  readonly blocks: RingBlocks;
  /** [B, n, H D]. */
  readonly out: Tensor;
  /** What each step computes. */
  readonly places: readonly RingStep[];
  /** Copies k and v to block 0. */
  readonly pack: readonly GatherArgs[];
  /** Step k: block k mod 2, in step 0 the own keys in place; with the results of the whole ring. */
  readonly steps: readonly AttentionArgs[];
  /** The same with results of their own. */
  readonly parts: readonly AttentionArgs[];
  /** Adds those to the results of the ring. */
  readonly merges: readonly MergeAttentionArgs[];
}

function planRing(tape: Tape, inputs: AttentionInputs, options: RingAttentionOptions): Ring {
  const { group, buffers } = options, { out, logSumExp, tokens, ...sizes } = allocateAttention(tape, inputs);
  const blocks = buffers.take(tape.heap, inputs, tape.precision),
    results = headRows({ tensor: out, column: 0 });
  const places = ringSteps(tokens * group.size, group.size, group.index);
  const steps = places.map(({ queries, keys, causal }, k): AttentionArgs => {
    const { k: key, v: value } = k === 0
      ? { k: headRows(inputs.k), v: headRows(inputs.v) }
      : blockRows(blocks.keyValues[k % 2], inputs);
    return attentionArgs(
      {
        ...{ ...sizes, queries: queries.count, keys: keys.count, causal },
        ...{ logSumExp: subspan(logSumExp, queries.start), strideLogSumExp: tokens },
        ...firstKeysOfStep(tape, inputs, group, places[k]),
      },
      {
        ...{ q: skipRows(headRows(inputs.q), queries.start), out: skipRows(results, queries.start) },
        ...{ k: skipRows(key, keys.start), v: skipRows(value, keys.start) },
      },
    );
  });
  const [part, partLogSumExp] = blocks.results;
  const parts = steps.map((step): AttentionArgs => {
    const strideOut = step.queries * step.ldOut;
    return { ...step, out: part, strideOut, logSumExp: partLogSumExp, strideLogSumExp: undefined };
  });
  const merges = steps.map((step): MergeAttentionArgs => ({ ...step, part, partLogSumExp }));
  const pack = packingOf(inputs, blocks.places, blocks.keyValues[0]);
  return { ...options, tape, inputs, blocks, out, places, pack, steps, parts, merges };
}

/** What a kernel is told of the window in a step. */
function firstKeysOfStep(
  tape: Tape,
  { window, q: { tensor: { shape: [, tokens] } } }: AttentionInputs,
  { size: cp, index: rank }: Group,
  step: RingStep,
): FirstKeys {
  if (window === undefined) return {};
  const first = windowOfStep(step, { window, tokens: tokens * cp, cp, rank });
  return windowKeys(tape, `${window} of ${tokens} at ${step.owner}`, first);
}

function forward(ring: Ring): void {
  const { tape: { backend }, group: { size }, steps, parts, merges } = ring;
  for (const half of ring.pack) backend.gather(half);
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
interface BackwardPlan extends Pick<AttentionTargets, "deliver"> {
  readonly steps: readonly AttentionBackwardArgs[];
  /** Adds the gradients of the own block, back from the ring, to those in place. */
  readonly unpack: readonly ScatterAddArgs[];
}

function planBackward(ring: Ring, dOut: Span, targets: AttentionTargets): BackwardPlan {
  const { blocks, group, inputs, places } = ring, { spans, deliver } = targets;
  const steps = ring.steps.map((step, k): AttentionBackwardArgs => {
    const { queries, keys } = places[k],
      { k: dK, v: dV } = k === 0 ? targets : blockRows(blocks.gradients[k % 2], inputs);
    return attentionGradientArgs(step, {
      ...{ dOut: subspan(dOut, queries.start * step.ldOut), accumulate: k > 0 },
      q: skipRows(targets.q, queries.start),
      ...{ k: skipRows(dK, keys.start), v: skipRows(dV, keys.start) },
    });
  });
  const unpack = unpackingOf(inputs, blocks.places, { block: blocks.gradients[group.size % 2], spans });
  return { steps, unpack, deliver };
}

function backward(ring: Ring, { steps, unpack, deliver }: BackwardPlan): void {
  const { tape: { backend }, group: { size }, blocks } = ring;
  for (const half of ring.pack) backend.gather(half);
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
  for (const half of unpack) backend.scatterAdd(half);
  deliver();
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
