/**
 * Attention, and whole GPTs, on the context groups of a world, case after case.
 *
 * @module
 */
import type { Device } from "../../../actors/mod.ts";
import type { Group } from "../../../collectives/mod.ts";
import { type Backend, createBackend, type DeviceHeap, type Span } from "../../../kernels/mod.ts";
import { type GptConfig, gptLayers, gptPlan } from "../../../models/mod.ts";
import {
  allocateGradients,
  causalSelfAttention,
  crossEntropy,
  type Parameter,
  RandomStream,
  type Recompute,
  recomputedLayer,
  Scope,
  SegmentMemory,
  type Shape,
  type Shard,
  type Sharding,
  type SpreadCrossEntropy,
  Tape,
  type Tensor,
} from "../../../nn/mod.ts";
import {
  ContextParallel,
  PartialGradients,
  ringAttention,
  RingBuffers,
  TensorParallel,
} from "../../../strategies/mod.ts";

/** One attention layer. */
export interface OpCase {
  readonly kind: "op";
  readonly cp: number;
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
  /** Ops that read the same projection: gradients of the second are added. By default 1. */
  readonly uses?: number;
}

/** A whole model, on the group `cp<n>` or, with `tp`, on the groups `cp` and `tp`. */
export interface GptCase {
  readonly kind: "gpt";
  readonly cp: number;
  readonly batch: number;
  readonly tokens: number;
  readonly config: GptConfig;
  /** Ranks that share the layers, too. */
  readonly tp?: number;
  readonly sequenceParallel?: boolean;
  /** Weight gradients run apart. */
  readonly deferWeights?: boolean;
  /** Layers are computed again in the backward pass: none by default. */
  readonly recompute?: Recompute;
}

/** What a rank is to run: cases, and then passes of the last case until it fails. */
export interface ContextConfig {
  readonly cases: readonly (OpCase | GptCase)[];
  /** Steps of the last case after the others; 0 by default. */
  readonly steps?: number;
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

/** What a rank made of a case. */
export interface ContextResult {
  /** Positions of its tokens. */
  readonly positions: readonly number[];
  /** Results of the op [uses, B, n, C], or losses [B, n]. */
  readonly out: Float32Array;
  /** Of the projection [B, n, 3C], or of every parameter. */
  readonly gradients: readonly GradientResult[];
  /** Bytes moved by the forward and by the backward pass. */
  readonly bytes: readonly [number, number];
  /** Bytes of buffers that the case allocated. */
  readonly bufferBytes: number;
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

interface Recorded {
  readonly tape: Tape;
  readonly out: () => Float32Array;
  readonly gradients: () => ContextResult["gradients"];
  readonly clear: () => void;
}

/** Records a case. */
export function record(backend: Backend, test: OpCase | GptCase, place: Place): Recorded {
  return test.kind === "op" ? recordOp(backend, test, place) : recordGpt(backend, test, place);
}

/** Runs a case forward and backward, twice: what is kept in buffers must not depend on the run before. */
export function runCase(backend: Backend, test: OpCase | GptCase, place: Place): ContextResult {
  const { bytesMoved = () => 0 } = place, before = backend.heap.usedBytes().buffers;
  const { tape, out, gradients, clear } = record(backend, test, place), marks = [0, 0, 0];
  for (let run = 0; run < 2; run++) {
    clear();
    marks[0] = bytesMoved();
    tape.forward();
    marks[1] = bytesMoved();
    runBackward(tape, test);
    marks[2] = bytesMoved();
  }
  return {
    ...{ positions: place.positions, out: out(), gradients: gradients() },
    bytes: [marks[1] - marks[0], marks[2] - marks[1]],
    bufferBytes: backend.heap.usedBytes().buffers - before,
  };
}

function runBackward(tape: Tape, test: OpCase | GptCase): void {
  if (test.kind === "op" || !test.deferWeights) return tape.backward();
  tape.backwardInput();
  tape.backwardWeight();
}

function recordOp(backend: Backend, test: OpCase, { group, positions }: Place): Recorded {
  const { batch, tokens, heads, headDim, uses = 1 } = test, width = heads * headDim, n = positions.length;
  const { heap } = backend, tape = new Tape({ backend, training: true, placement: { positions } });
  const { tensor: qkv, gradient } = tape.handoff("qkv", [batch, n, 3 * width]);
  fill(heap, qkv.span, { seed: 1, width: 3 * width, tokens, positions });
  const buffers = new RingBuffers();
  const outs = Array.from(
    { length: uses },
    () =>
      group === undefined
        ? causalSelfAttention(tape, qkv, headDim)
        : ringAttention(tape, qkv, { group, headDim, label: "attn", buffers }),
  );
  const roots = outs.map((out) => tape.handoffTo(out));
  tape.plan();
  return {
    tape,
    out: () => Float32Array.from(outs.flatMap(({ span }) => [...heap.f32(span)])),
    gradients: () => [{ name: "qkv", shape: qkv.shape, values: heap.f32(gradient).slice() }],
    // The backward pass may overwrite them.
    clear: () => roots.forEach((span, use) => fill(heap, span, { seed: 2 + use, width, tokens, positions })),
  };
}

/** Rows [.., n, width] get the values of their places in [.., T, width]. */
function fill(
  heap: DeviceHeap,
  span: Span,
  { seed, width, tokens, positions }: {
    seed: number;
    width: number;
    tokens: number;
    positions: readonly number[];
  },
): void {
  const stream = new RandomStream(seed, "values"), n = positions.length;
  heap.f32(span).forEach((_, i, values) => {
    const row = Math.floor(i / width), sample = Math.floor(row / n);
    values[i] = stream.normal((sample * tokens + positions[row % n]) * width + i % width);
  });
}

function recordGpt(backend: Backend, test: GptCase, place: Place): Recorded {
  const { batch, tokens, config } = test,
    { positions, sharding, spreadCrossEntropy } = place,
    { heap } = backend;
  const scope = Scope.root(heap, 7, sharding);
  const layers = gptLayers(config).map(({ name, build }) => recomputedLayer(name, build(scope)));
  const { parameters } = scope, gradients = allocateGradients(heap, parameters);
  const { deferWeights, recompute: mode = "none" } = test, memory = new SegmentMemory(heap);
  const shared = { backend, training: true, placement: { positions, spreadCrossEntropy } };
  const makeInner = () => {
    memory.begin();
    return new Tape({ ...shared, allocate: (...of) => memory.allocate(...of) });
  };
  const tape = new Tape({ ...shared, deferWeights, recompute: { mode, makeInner } });
  const stream = new RandomStream(3, "text"), n = positions.length;
  const read = (name: string, shift: number): Tensor =>
    tape.constant(name, [batch, n], "i32", (i) => {
      const at = Math.floor(i / n) * (tokens + 1) + positions[i % n] + shift;
      return Math.floor(stream.uniform(at) * config.vocab);
    });
  const logits = layers.reduce((x, layer) => layer.forward(tape, x), read("inputs", 0));
  const loss = crossEntropy(tape, logits, read("targets", 1));
  // The mean over the whole sequences: each rank has a part of its rows.
  loss.scale = 1 / (batch * tokens);
  tape.plan();
  return {
    tape,
    out: () => heap.f32(loss.rows.span).slice(),
    gradients: () => {
      place.reduce?.(parameters);
      return parameters.map(({ name, globalShape: shape, shard, gradient }) => (
        { name, shape, shard, values: heap.f32(gradient).slice() }
      ));
    },
    clear: () => backend.fill(0, gradients),
  };
}

function placeOf(device: Device, test: OpCase | GptCase, backend: Backend): Place {
  const bytesMoved = () => device.ledger.bytesMoved;
  if (test.kind === "op" || test.tp === undefined) {
    const group = device.group(`cp${test.cp}`), sharding = new ContextParallel(group);
    return { group, sharding, positions: sharding.positions(test.tokens), bytesMoved };
  }
  const { config, sequenceParallel } = test, tp = device.group("tp"), group = device.group("cp");
  const inner = new TensorParallel(tp, gptPlan(config), { sequenceParallel });
  const sharding = new ContextParallel(group, inner), { spreadCrossEntropy } = inner;
  const reduce = (parameters: readonly Parameter[]) =>
    new PartialGradients(tp, backend, inner.partialParameters(parameters)).sum();
  return {
    group,
    sharding,
    spreadCrossEntropy,
    positions: sharding.positions(test.tokens),
    bytesMoved,
    reduce,
  };
}

/** The results of this rank, case by case; undefined where it is not in the group. */
export default function run(
  device: Device,
  { cases, steps = 0 }: ContextConfig,
): (ContextResult | undefined)[] {
  const backend = createBackend("wasm", device.heap);
  const results = cases.map((test) => {
    const isMember = device.rank < test.cp * (test.kind === "gpt" ? test.tp ?? 1 : 1);
    return isMember ? runCase(backend, test, placeOf(device, test, backend)) : undefined;
  });
  const last = cases.at(-1)!;
  if (steps === 0) return results;
  const { tape, clear } = record(backend, last, placeOf(device, last, backend));
  for (let step = 0; step < steps; step++) {
    clear();
    device.enter(step, "forward");
    tape.forward();
    device.enter(step, "backward");
    tape.backward();
  }
  return results;
}
