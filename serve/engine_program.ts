/**
 * The program of the devices that go on with many texts at a time.
 *
 * @module
 */
import { type Device, type DeviceView, PhantomDevice } from "../actors/mod.ts";
import { Tickets, type Topology } from "../collectives/mod.ts";
import type { TensorIndex } from "../files/mod.ts";
import { type ByteTable, createBackend } from "../kernels/mod.ts";
import { loadModel, type ModelSizes } from "../models/mod.ts";
import { type ModelSpec, packWeights } from "../nn/mod.ts";
import { type Degrees, Mesh } from "../strategies/mod.ts";
import {
  Engine,
  type EngineLimits,
  type EngineOutput,
  EngineRank,
  type EngineRequest,
} from "./engine/mod.ts";
import { formatsOf, loadWeights, type WeightChoice } from "./load_weights.ts";

/** A model, and how devices run it. */
export interface EngineSetup {
  /** The model, of a family. */
  readonly model: ModelSpec;
  /** Of the model. */
  readonly sizes: ModelSizes;
  /** Devices along each axis; those of the data axis are replicas. */
  readonly degrees: Degrees;
  /** Whether all layouts have the same bits. */
  readonly isExact: boolean;
  /** What a step of a replica may hold. */
  readonly limits: EngineLimits;
  /** What weights are computed with. */
  readonly weights: WeightChoice;
  /** Backend of the devices. */
  readonly kernels: "wasm" | "reference";
}

/** What to write, and with which model. */
export interface EngineJob extends EngineSetup {
  /** Where its parameters lie. */
  readonly tensors: TensorIndex;
  /** All of it, in the order in which it comes. */
  readonly requests: readonly EngineRequest[];
  /** Says which of them a replica may take. */
  readonly tickets: Int32Array;
}

/** Reports what each step has brought, as lists of {@link EngineOutput}. */
export default async function engineProgram(device: Device, job: EngineJob): Promise<void> {
  const rank = await buildRank(device, job), { heap } = device, { parameters } = rank.scope;
  loadWeights(heap, parameters, job.tensors);
  packWeights(rank.backend, parameters);
  let step = 0;
  const enter = () => device.enter(step++, "step of the engine");
  if (!rank.isLeader) {
    do enter(); while (rank.follow());
    return;
  }
  const engine = new Engine(rank, job.limits), tickets = new Tickets(job.tickets);
  for (;;) {
    enter();
    takeRequests(engine, tickets, job);
    if (!engine.isBusy) break;
    const outputs: EngineOutput[] = engine.step();
    if (outputs.length > 0) await device.report(outputs);
  }
  rank.end();
}

/** Takes as many as run at a time; other replicas take what is left. */
function takeRequests(engine: Engine, tickets: Tickets, { requests, limits }: EngineJob): void {
  while (engine.numOpen < limits.maxSequences) {
    const place = tickets.take();
    if (place >= requests.length) return;
    engine.add(requests[place]);
  }
}

/** The devices of an engine: those of a replica are a group of their own. */
export function engineTopology(degrees: Degrees): Topology {
  const mesh = new Mesh(degrees), { worldSize, groups } = mesh.topology(), size = worldSize / degrees.dp;
  const replicas = Array.from({ length: degrees.dp }, (_, dp) => ({
    name: "replica",
    ranks: Array.from({ length: size }, (_, i) => dp * size + i),
  }));
  return { worldSize, groups: [...groups, ...replicas] };
}

/** What the devices of an engine hold. */
export interface EnginePlan {
  /** Of the device that holds most. */
  readonly bytes: ByteTable;
  /** The smallest device memory that each of them fits in. */
  readonly extentBytes: number;
}

/** Plans an engine: the same program, on devices that only count. */
export async function planEngine(setup: EngineSetup): Promise<EnginePlan> {
  const topology = engineTopology(setup.degrees), plans: EnginePlan[] = [];
  for (let rank = 0; rank < topology.worldSize / setup.degrees.dp; rank++) {
    const device = new PhantomDevice(topology, rank), { heap } = device;
    // Everything is taken when passes are recorded.
    await buildRank(device, setup);
    plans.push({ bytes: heap.usedBytes(), extentBytes: heap.extentBytes });
  }
  return plans.reduce((most, plan) => plan.extentBytes > most.extentBytes ? plan : most);
}

async function buildRank(device: DeviceView, setup: EngineSetup): Promise<EngineRank> {
  const backend = createBackend(setup.kernels, device.heap);
  const parts = await loadModel(setup.model), formatOf = formatsOf(setup.weights);
  return new EngineRank({ ...setup, device, backend, parts, formatOf });
}
