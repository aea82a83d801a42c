import { type DeviceView, PhantomDevice } from "../../actors/mod.ts";
import type { Group } from "../../collectives/mod.ts";
import { type Backend, createBackend, phantomHeap, type Span, subspan } from "../../kernels/mod.ts";
import type { ModelParts, ModelSizes } from "../../models/mod.ts";
import { Scope, type ScopeOptions, type Sharding, Tape } from "../../nn/mod.ts";
import {
  countParameters,
  type Degrees,
  Mesh,
  type Partition,
  partitionLayers,
  ReplicatedExperts,
  TensorParallel,
} from "../../strategies/mod.ts";
import {
  type HeadPass,
  passSizes,
  recordHeadPasses,
  recordRowPasses,
  type RowLayer,
  type RowPass,
  smallestOf,
} from "./row_passes.ts";
import { type EngineLimits, mostWanted, type ScheduledRun } from "./scheduler.ts";
import { StepWords } from "./step_words.ts";

/** A model, and how it is spread. */
export interface EngineModel {
  /** Its layers: those that rows go through, and at last the head. */
  readonly parts: ModelParts;
  /** Of the model. */
  readonly sizes: ModelSizes;
  /** Devices of a replica along each axis. */
  readonly degrees: Degrees;
  /** Whether all layouts have the same bits. */
  readonly isExact: boolean;
}

/** What a part of an engine is made of. */
export interface EngineRankOptions extends EngineModel {
  /** Groups of the device by name. */
  readonly device: Pick<DeviceView, "group">;
  /** Computes on the memory of the device. */
  readonly backend: Backend;
  /** What a step may hold. */
  readonly limits: EngineLimits;
  /** Formats of parameters; by default f32. */
  readonly formatOf?: ScopeOptions["formatOf"];
}

/**
 * The part of an engine that one device has. All devices of a replica run the same steps: the first one says what a step
 * does, and gets the scores; nobody waits for anything but the data of the step.
 *
 * Cost: the words of a step to every device; what tensor parallelism, pipelines and experts move; the scores that are
 * wanted.
 */
export class EngineRank {
  /** Its parameters, without values. */
  readonly scope: Scope;
  /** Computes on the memory of the device. */
  readonly backend: Backend;
  readonly #replica: Group;
  readonly #stages: Group;
  readonly #words: StepWords;
  readonly #passes: readonly RowPass[];
  readonly #heads: readonly HeadPass[];
  /** Of the first device: where the scores of others come to. */
  readonly #parts: readonly ScorePart[];
  readonly #scores: readonly Float32Array[];
  /** This device computes scores that the first one waits for. */
  readonly #sendsScores: boolean;

  /** Allocates pages, and records all passes. */
  constructor(options: EngineRankOptions) {
    const { device, backend, parts, limits, sizes: { embed, vocab }, degrees } = options;
    const [pp, tp, ep] = ["pp", "tp", "ep"].map((name) => device.group(name)), { heap } = backend;
    const isFirst = pp.index === 0, isLast = pp.index === pp.size - 1;
    const sharding = shardingOf(options, tp, ep);
    this.scope = Scope.of({ heap, seed: undefined, sharding, formatOf: options.formatOf });
    this.backend = backend;
    this.#replica = device.group("replica");
    this.#stages = pp;
    this.#words = new StepWords(heap, limits);
    const { start, end } = stageRanges(parts, pp.size)[pp.index];
    const layers = parts.layers.slice(start, end).map(({ type, build }): RowLayer => {
      const layer = build(this.scope);
      return type === "block" ? { type, layer } : { type: "other", layer };
    });
    const head = isLast ? layers.pop()!.layer : undefined;
    const rows = { backend, layers, isFirst, embed, limits, batch: this.#words.batch };
    this.#passes = recordRowPasses(rows);
    this.#heads = head === undefined ? [] : recordHeadPasses(rows, head);
    this.#sendsScores = isLast && ep.index === 0 && this.#replica.index > 0;
    const isLeader = this.#replica.index === 0, most = mostWanted(limits);
    this.#parts = isLeader ? scoreParts(options).map((part) => placeOf(part, backend, most)) : [];
    this.#scores = isLeader ? Array.from({ length: most }, () => new Float32Array(vocab)) : [];
    if (degrees.pp * degrees.tp * degrees.ep !== this.#replica.size) {
      throw new RangeError(`Cannot run an engine on ${this.#replica.size} devices: its mesh has others`);
    }
  }

  /** Whether this device says what a step does. */
  get isLeader(): boolean {
    return this.#replica.index === 0;
  }

  /**
   * Runs a step on all devices; for the first one.
   *
   * @param wantedOf How many of the last rows of a run have their scores computed.
   * @returns The scores of the token after each of these rows, in order; valid until the next step.
   */
  run(runs: readonly ScheduledRun[], wantedOf: (run: ScheduledRun) => number): readonly Float32Array[] {
    this.#words.write(runs, wantedOf);
    this.#publish();
    this.#compute();
    const { length } = this.#words.wanted;
    return length === 0 ? [] : this.#collect(length);
  }

  /** Runs the step that the first device has said; false if there are no more. */
  follow(): boolean {
    this.#publish();
    if (this.#words.numRows === undefined) return false;
    this.#compute();
    return true;
  }

  /** Says that there are no more steps; for the first device. */
  end(): void {
    this.#words.writeEnd();
    this.#publish();
  }

  #publish(): void {
    if (this.#replica.size > 1) this.#replica.broadcast(this.#words.span, 0, { label: "words of a step" });
  }

  #compute(): void {
    const { heap } = this.backend, words = this.#words, { index, size } = this.#stages;
    const pass = smallestOf(this.#passes, words.numRows!), { input, positions, output, tape } = pass;
    const fill = (span: Span, values: Int32Array) => {
      const all = heap.i32(span);
      all.set(values);
      all.fill(0, values.length);
    };
    fill(positions.span, words.positions);
    if (index === 0) fill(input.span, words.ids);
    else this.#stages.recv(input.span, index - 1, { label: "rows of the stage before" });
    tape.forward();
    if (index < size - 1) this.#stages.send(output.span, index + 1, { label: "rows for the next stage" });
    else if (words.wanted.length > 0) this.#score(output.span, words.wanted);
  }

  #score(rows: Span, wanted: Int32Array): void {
    const head = smallestOf(this.#heads, wanted.length), { input, logits, tape } = head;
    const width = input.shape[2];
    wanted.forEach((row, i) => {
      this.backend.copy(subspan(rows, row * width, width), subspan(input.span, i * width, width));
    });
    tape.forward();
    if (this.#sendsScores) this.#replica.send(logits.span, 0, { label: "scores" });
  }

  /** Scores of `count` rows, each over the whole vocabulary. */
  #collect(count: number): readonly Float32Array[] {
    const { heap } = this.backend;
    const numRows = passSizes(this.#scores.length).find((size) => size >= count)!;
    let first = 0;
    for (const { from, width, span } of this.#parts) {
      const part = from === 0
        ? smallestOf(this.#heads, count).logits.span
        : subspan(span!, 0, numRows * width);
      if (from > 0) this.#replica.recv(part, from, { label: "scores" });
      const values = heap.f32(part);
      for (let i = 0; i < count; i++) {
        this.#scores[i].set(values.subarray(i * width, (i + 1) * width), first);
      }
      first += width;
    }
    return this.#scores.slice(0, count);
  }
}

/** Scores of a part of the vocabulary. */
interface ScorePart {
  /** Place in the replica of the device that has them. */
  readonly from: number;
  /** Ids in the part. */
  readonly width: number;
  /** Where they come to, if they are another device's. */
  readonly span?: Span;
}

function placeOf(part: ScorePart, { heap }: Backend, rows: number): ScorePart {
  if (part.from === 0) return part;
  return { ...part, span: heap.allocate("scores of another device", rows * part.width, "activations") };
}

/** Who has which scores: the tensor group of the last stage, in the order of ids. */
function scoreParts({ parts, sizes: { embed, vocab }, degrees, isExact }: EngineRankOptions): ScorePart[] {
  const { pp, tp } = degrees, mesh = new Mesh(degrees), pieces: ScorePart[] = [];
  const head = parts.layers.at(-1)!, topology = new Mesh({ tp }).topology();
  for (let index = 0, total = 0; index < tp && total < vocab; index++) {
    const group = new PhantomDevice(topology, index).group("tp"), heap = phantomHeap();
    const sharding = new TensorParallel(group, parts.plan, { exact: isExact });
    const tape = new Tape({ backend: createBackend("reference", heap), training: false });
    const layer = head.build(Scope.of({ heap, seed: undefined, sharding }));
    const width = layer.forward(tape, tape.input("last rows", [1, 1, embed])).shape[2];
    const from = mesh.rank({ dp: 0, pp: pp - 1, ep: 0, cp: 0, tp: index });
    pieces.push({ from, width });
    total += width;
  }
  return pieces;
}

function shardingOf({ parts, sizes, isExact }: EngineModel, tp: Group, ep: Group): Sharding | undefined {
  // In exact numerics one device cuts its sums as several do.
  const tensor = tp.size === 1 && !isExact
    ? undefined
    : new TensorParallel(tp, parts.plan, { exact: isExact });
  return ep.size === 1 ? tensor : new ReplicatedExperts(ep, sizes.experts ?? 0, tensor);
}

/**
 * The layers of each stage: as many parameters each as can be.
 *
 * @throws {RangeError} If there are fewer layers than stages.
 */
export function stageRanges({ layers }: ModelParts, numStages: number): Partition["ranges"] {
  const counts = countParameters(layers);
  const facts = layers.map(({ name, type }, i) => ({ name, type, parameters: counts[i] }));
  return partitionLayers(facts, { numStages, method: "parameters" }).ranges;
}
