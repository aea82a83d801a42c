/**
 * One forward and backward pass of a model on the tensor groups of a world, case after case.
 *
 * @module
 */
import type { Device } from "../../../actors/mod.ts";
import { type Backend, createBackend } from "../../../kernels/mod.ts";
import {
  allocateGradients,
  type Parameter,
  Scope,
  type Shape,
  type Shard,
  type Sharding,
  type SpreadCrossEntropy,
  Tape,
} from "../../../nn/mod.ts";
import { type ParallelPlan, PartialGradients, TensorParallel } from "../../../strategies/mod.ts";
import { batchOf, buildModel, type TestModel } from "./models.ts";

/** A model, and how it is spread. */
export interface TensorCase {
  readonly title: string;
  readonly model: TestModel;
  /** Ranks of the tensor group: the first ones of the world. */
  readonly tp: number;
  readonly plan: ParallelPlan;
  readonly sequenceParallel: boolean;
  /** Weight gradients run apart. */
  readonly deferWeights?: boolean;
}

/** What a device made of its part of a parameter. */
export interface PartResult {
  readonly name: string;
  readonly shape: Shape;
  readonly shard: Shard | undefined;
  /** At the start. */
  readonly values: Float32Array;
  readonly gradient: Float32Array;
}

/** What a device made of a model. */
export interface PassResult {
  readonly losses: Float32Array;
  /** Of a tape without a backward pass. */
  readonly evaluation: Float32Array;
  readonly parts: readonly PartResult[];
  /** Bytes moved by the forward and by the backward pass. */
  readonly bytes: readonly [number, number];
  /** Bytes of activations, their gradients included. */
  readonly activationBytes: number;
}

/** How to run a pass. */
export interface PassOptions {
  readonly sharding?: Sharding;
  readonly spreadCrossEntropy?: SpreadCrossEntropy;
  readonly deferWeights?: boolean;
  /** Bytes that this rank has moved so far. */
  readonly bytesMoved?: () => number;
  /** Called when the gradients are there. */
  readonly reduce?: (parameters: readonly Parameter[]) => void;
}

const SEED = 7;

/** Runs a model forward and backward on a device, twice: what is computed in place must not depend on the run before. */
export function runPass(backend: Backend, test: TestModel, options: PassOptions = {}): PassResult {
  const { sharding, spreadCrossEntropy, deferWeights, bytesMoved = () => 0 } = options, { heap } = backend;
  const scope = Scope.root(heap, SEED, sharding), model = buildModel(scope, test), { parameters } = scope;
  const gradients = allocateGradients(heap, parameters);
  const values = parameters.map(({ span }) => heap.f32(span).slice());
  const before = heap.usedBytes().activations;
  const record = (training: boolean) => {
    const tape = new Tape({ backend, training, placement: { spreadCrossEntropy }, deferWeights });
    const { inputs, targets } = batchOf(tape, test);
    return { tape, loss: model.loss(tape, inputs, targets) };
  };
  const { tape, loss } = record(true);
  tape.plan();
  const activationBytes = heap.usedBytes().activations - before, marks = [0, 0, 0];
  for (let run = 0; run < 2; run++) {
    backend.fill(0, gradients);
    marks[0] = bytesMoved();
    tape.forward();
    marks[1] = bytesMoved();
    runBackward(tape, deferWeights ?? false);
    marks[2] = bytesMoved();
  }
  options.reduce?.(parameters);
  const evaluation = record(false);
  evaluation.tape.forward();
  return {
    losses: heap.f32(loss.rows.span).slice(),
    evaluation: heap.f32(evaluation.loss.rows.span).slice(),
    parts: parameters.map(({ name, globalShape, shard, gradient }, i) => (
      { name, shape: globalShape, shard, values: values[i], gradient: heap.f32(gradient).slice() }
    )),
    bytes: [marks[1] - marks[0], marks[2] - marks[1]],
    activationBytes,
  };
}

function runBackward(tape: Tape, isDeferring: boolean): void {
  if (!isDeferring) return tape.backward();
  tape.backwardInput();
  tape.backwardWeight();
}

/** The results of this rank, case by case; undefined where it is not in the group. */
export default function run(device: Device, cases: readonly TensorCase[]): (PassResult | undefined)[] {
  const backend = createBackend("wasm", device.heap);
  return cases.map(({ model, tp, plan, sequenceParallel, deferWeights }) => {
    if (device.rank >= tp) return undefined;
    const group = device.group(`tp${tp}`), parallel = new TensorParallel(group, plan, { sequenceParallel });
    return runPass(backend, model, {
      sharding: parallel,
      spreadCrossEntropy: parallel.spreadCrossEntropy,
      deferWeights,
      bytesMoved: () => device.ledger.bytesMoved,
      reduce: (parameters) =>
        new PartialGradients(group, backend, parallel.partialParameters(parameters)).sum(),
    });
  });
}
