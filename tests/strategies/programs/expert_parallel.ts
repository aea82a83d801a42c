/**
 * A forward and a backward pass of a GPT of experts on the groups of a world, case after case.
 *
 * @module
 */
import type { Device } from "../../../actors/mod.ts";
import { type Backend, createBackend } from "../../../kernels/mod.ts";
import { Gpt, type GptConfig, gptPlan } from "../../../models/mod.ts";
import {
  allocateGradients,
  type ExpertLoad,
  type Parameter,
  Scope,
  type Shape,
  type Shard,
  type Sharding,
  type SpreadCrossEntropy,
  Tape,
} from "../../../nn/mod.ts";
import { ExpertParallel, Mesh, PartialGradients, TensorParallel } from "../../../strategies/mod.ts";

/** A model, its batch, and how both are spread. */
export interface ExpertCase {
  readonly title: string;
  readonly config: GptConfig;
  /** Sequences of the global batch, and their tokens. */
  readonly batch: number;
  readonly steps: number;
  readonly degrees: { readonly dp: number; readonly ep: number; readonly tp: number };
  /** Weight gradients run apart. */
  readonly deferWeights?: boolean;
  /** Rows between layers are spread over the tensor group. */
  readonly sequenceParallel?: boolean;
}

/** What a device made of its part of a parameter. */
export interface ExpertPart {
  readonly name: string;
  readonly shape: Shape;
  readonly shard: Shard | undefined;
  readonly gradient: Float32Array;
}

/** What a device made of its sequences. */
export interface ExpertResult {
  readonly losses: Float32Array;
  readonly loads: readonly ExpertLoad[];
  /** Load losses of the units, by layer. */
  readonly auxiliary: readonly Float32Array[];
  readonly parts: readonly ExpertPart[];
  /** Bytes that the collectives of the two passes moved. */
  readonly bytes: number;
}

/** Which sequences a device has and what it builds with. */
export interface ExpertPlace {
  readonly first: number;
  readonly count: number;
  readonly sharding?: Sharding;
  readonly spreadCrossEntropy?: SpreadCrossEntropy;
  readonly bytesMoved?: () => number;
  /** Called after each backward pass. */
  readonly complete?: (parameters: readonly Parameter[]) => void;
}

/** Runs both passes on a device, twice: what is left from the run before must not matter. */
export function runExperts(backend: Backend, test: ExpertCase, place: ExpertPlace): ExpertResult {
  const { heap } = backend, { config, batch, steps, deferWeights } = test, { first, count } = place;
  const scope = Scope.root(heap, 11, place.sharding), model = new Gpt(scope, config);
  const gradients = allocateGradients(heap, scope.parameters);
  const tape = new Tape({
    backend,
    training: true,
    deferWeights,
    placement: { spreadCrossEntropy: place.spreadCrossEntropy },
  });
  const [inputs, targets] = ["inputs", "targets"].map((name) => tape.input(name, [count, steps], "i32"));
  const loss = model.loss(tape, inputs, targets), start = first * steps;
  heap.i32(inputs.span).forEach((_, i, ids) => ids[i] = (start + i) * (start + i + 3) % 47 % config.vocab);
  heap.i32(targets.span).forEach((_, i, ids) => ids[i] = (start + i) * 5 % config.vocab);
  loss.scale = 1 / (batch * steps);
  const bytesMoved = place.bytesMoved ?? (() => 0), before = bytesMoved();
  for (let run = 0; run < 2; run++) {
    backend.fill(0, gradients);
    tape.forward();
    if (deferWeights) {
      tape.backwardInput();
      tape.backwardWeight();
    } else tape.backward();
    place.complete?.(scope.parameters);
  }
  return {
    losses: heap.f32(loss.rows.span).slice(),
    loads: tape.auxiliary.map((auxiliary) => auxiliary.load()),
    auxiliary: tape.auxiliary.map(({ rows }) => heap.f32(rows.span).slice()),
    parts: scope.parameters.map(({ name, globalShape, shard, gradient }) => ({
      ...{ name, shape: globalShape, shard, gradient: heap.f32(gradient).slice() },
    })),
    bytes: (bytesMoved() - before) / 2,
  };
}

/** Name of the group along an axis of the mesh of a case. */
export function groupName(index: number, axis: string): string {
  return `${index}.${axis}`;
}

/** Every case whose mesh this rank is on; undefined for the others. */
export default function run(device: Device, cases: readonly ExpertCase[]): (ExpertResult | undefined)[] {
  return cases.map((test, i) => {
    const mesh = new Mesh(test.degrees);
    if (device.rank >= mesh.size) return undefined;
    const ep = device.group(groupName(i, "ep")), tp = device.group(groupName(i, "tp"));
    const { sequenceParallel } = test;
    const tensor = new TensorParallel(tp, gptPlan(test.config), { sequenceParallel });
    const { dp, ep: place } = mesh.coordinates(device.rank);
    const count = test.batch / (test.degrees.dp * test.degrees.ep);
    const backend = createBackend("wasm", device.heap);
    return runExperts(backend, test, {
      ...{ first: (dp * test.degrees.ep + place) * count, count },
      sharding: new ExpertParallel(ep, test.config.experts!, tensor),
      spreadCrossEntropy: tensor.spreadCrossEntropy,
      bytesMoved: () => device.ledger.bytesMoved,
      complete: (parameters) => new PartialGradients(tp, backend, tensor.partialParameters(parameters)).sum(),
    });
  });
}
