/**
 * Attention, and whole GPTs, on the context groups of a world, case after case.
 *
 * @module
 */
import type { Device } from "../../../actors/mod.ts";
import { type Backend, createBackend } from "../../../kernels/mod.ts";
import { type GptConfig, gptLayers, gptPlan } from "../../../models/mod.ts";
import {
  allocateGradients,
  crossEntropy,
  type Parameter,
  RandomStream,
  type Recompute,
  recomputedLayer,
  Scope,
  SegmentMemory,
  Tape,
  type Tensor,
} from "../../../nn/mod.ts";
import { ContextParallel, PartialGradients, TensorParallel } from "../../../strategies/mod.ts";
import { type GradientResult, type OpCase, type Place, type Recorded, recordOp } from "./attention_op.ts";

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

/** What a rank made of a case. */
export interface ContextResult {
  /** Positions of its tokens. */
  readonly positions: readonly number[];
  /** Results of the op [uses, B, n, C], or losses [B, n]. */
  readonly out: Float32Array;
  /** Of the columns of q, k and v, or of every parameter. */
  readonly gradients: readonly GradientResult[];
  /** Bytes moved by the forward and by the backward pass. */
  readonly bytes: readonly [number, number];
  /** Bytes of buffers that the case allocated. */
  readonly bufferBytes: number;
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
  const backend = createBackend("wasm", device.heap), reference = createBackend("reference", device.heap);
  const results = cases.map((test) => {
    const kernels = test.kind === "op" && test.backend === "reference" ? reference : backend;
    const isMember = device.rank < test.cp * (test.kind === "gpt" ? test.tp ?? 1 : 1);
    return isMember ? runCase(kernels, test, placeOf(device, test, kernels)) : undefined;
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
