/**
 * One attention layer, on one device or on those that hold parts of its sequences.
 *
 * @module
 */
import type { Backend, DeviceHeap, Span } from "../../../kernels/mod.ts";
import {
  attend,
  type AttentionInputs,
  ExactSums,
  fusedInputs,
  GradientArena,
  type Parameter,
  RandomStream,
  separateInputs,
  type Shape,
  type Shard,
  type Sharding,
  type SpreadCrossEntropy,
  Tape,
} from "../../../nn/mod.ts";
import type { Group } from "../../../collectives/mod.ts";
import { GatherBuffers, gatheredAttention, ringAttention, RingBuffers } from "../../../strategies/mod.ts";

/** One attention layer. */
export interface OpCase {
  readonly kind: "op";
  readonly cp: number;
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  /** Heads of keys and values; by default as many. */
  readonly kvHeads?: number;
  readonly headDim: number;
  /** q, k and v in tensors of their own; by default in one. */
  readonly isSeparate?: boolean;
  /** Gathered, in exact numerics; by default in a ring. */
  readonly isExact?: boolean;
  /** By default wasm. */
  readonly backend?: "wasm" | "reference";
  /** Ops that read the same projection: gradients of the second are added. By default 1. */
  readonly uses?: number;
}

/** What a rank knows of a gradient. */
export interface GradientResult {
  readonly name: string;
  /** Of the whole parameter. */
  readonly shape: Shape;
  /** The part that this rank holds. */
  readonly shard?: Shard;
  readonly values: Float32Array;
}

/** Where a case runs: on one device by default. */
export interface Place {
  readonly group?: Group;
  readonly sharding?: Sharding;
  readonly spreadCrossEntropy?: SpreadCrossEntropy;
  readonly positions: readonly number[];
  readonly bytesMoved?: () => number;
  /** Called when the gradients of the last run are there. */
  readonly reduce?: (parameters: readonly Parameter[]) => void;
}

/** A case on a tape. */
export interface Recorded {
  readonly tape: Tape;
  readonly out: () => Float32Array;
  readonly gradients: () => readonly GradientResult[];
  readonly clear: () => void;
}

/** Records an attention layer on numbers that depend on their places in the whole sequence. */
export function recordOp(backend: Backend, test: OpCase, { group, positions }: Place): Recorded {
  const { batch, tokens, heads, kvHeads = heads, headDim, uses = 1, isSeparate, isExact } = test,
    n = positions.length;
  const { heap } = backend,
    tape = new Tape({ backend, training: true, placement: { positions, exact: exactOf(backend, test, n) } });
  const widths = [heads, kvHeads, kvHeads].map((count) => count * headDim), all = widths[0] + 2 * widths[1];
  const handoffs = (isSeparate ? widths : [all]).map((width, i) => tape.handoff("qkv"[i], [batch, n, width]));
  const [q, k, v] = handoffs.map(({ tensor }) => tensor), columns = columnsOf(widths, isSeparate);
  handoffs.forEach(({ tensor }, i) =>
    fill(heap, tensor.span, { columns: columns[i], width: all, seed: 1, tokens, positions })
  );
  const inputs: AttentionInputs = isSeparate
    ? separateInputs({ q, k, v }, headDim)
    : fusedInputs(q, { headDim, group: heads / kvHeads });
  const shared = { label: "attn", buffers: new RingBuffers() },
    gathered = { label: "attn", buffers: new GatherBuffers() };
  const outs = Array.from({ length: uses }, () => {
    if (group === undefined) return attend(tape, inputs);
    return isExact
      ? gatheredAttention(tape, inputs, { ...gathered, group })
      : ringAttention(tape, inputs, { ...shared, group });
  });
  const roots = outs.map((out) => tape.handoffTo(out)), width = widths[0];
  tape.plan();
  return {
    tape,
    out: () => Float32Array.from(outs.flatMap(({ span }) => [...heap.f32(span)])),
    gradients: () =>
      handoffs.map(({ tensor: { name, shape }, gradient }) => ({
        name,
        shape,
        values: heap.f32(gradient).slice(),
      })),
    // The backward pass may overwrite them.
    clear: () =>
      roots.forEach((span, use) =>
        fill(heap, span, { columns: { first: 0, count: width }, width, seed: 2 + use, tokens, positions })
      ),
  };
}

/** The columns of each tensor among those of q, k and v. */
function columnsOf([q, k, v]: readonly number[], isSeparate = false): { first: number; count: number }[] {
  if (!isSeparate) return [{ first: 0, count: q + k + v }];
  return [{ first: 0, count: q }, { first: q, count: k }, { first: q + k, count: v }];
}

/** A sequence has eight units, of which this device holds its share. */
function exactOf(backend: Backend, { batch, tokens, isExact }: OpCase, n: number): ExactSums | undefined {
  if (!isExact) return undefined;
  const arena = new GradientArena(backend.heap);
  return new ExactSums({ backend, arena, sequences: batch, tokens: n, units: 8 * n / tokens });
}

/** Rows [.., n, columns] get the values of their places in [.., T, width]. */
function fill(
  heap: DeviceHeap,
  span: Span,
  { seed, columns: { first, count }, width, tokens, positions }: {
    seed: number;
    columns: { first: number; count: number };
    width: number;
    tokens: number;
    positions: readonly number[];
  },
): void {
  const stream = new RandomStream(seed, "values"), n = positions.length;
  heap.f32(span).forEach((_, i, values) => {
    const row = Math.floor(i / count), sample = Math.floor(row / n);
    values[i] = stream.normal((sample * tokens + positions[row % n]) * width + first + i % count);
  });
}
