import type { BatchViews } from "../../data/mod.ts";
import { type DeviceHeap, onnx, type Span } from "../../kernels/mod.ts";
import { type AdamW, type Shape, type Tape, Tensor } from "../../nn/mod.ts";
import type { ParameterStore, Piece, StageProgram } from "../../strategies/mod.ts";
import { GraphWeights, type HeldOptions } from "./graph_weights.ts";
import { fillBatch, type RecordedPass, type TrainStage } from "./stage.ts";
import { lowerStage, type StageGraph, type StageGraphOptions } from "./lower_stage.ts";

/** What a {@link GraphStage} is made of. */
export interface GraphStageOptions extends StageGraphOptions {
  /** Compiles the graphs; undefined on a device without memory, which only plans. */
  readonly runtime: onnx.OnnxRuntime | undefined;
  /** The memory of the device, in which batches, losses and hand-offs lie. */
  readonly heap: DeviceHeap;
  /** Parameters of the stage. */
  readonly store: ParameterStore;
}

/** The passes of one number of samples, ready to run. */
export interface StagePrograms {
  /** What was lowered. */
  readonly graph: StageGraph;
  /** Compiled. */
  readonly forward: onnx.GraphProgram;
  /** Compiled. */
  readonly backward: onnx.GraphProgram;
}

/** A pipeline stage that computes through onnxruntime, on the GPU if that is where it runs. */
export class GraphStage implements TrainStage {
  readonly store: ParameterStore;
  /** Where its parameters are; set before the first pass runs. */
  weights: GraphWeights | undefined;
  readonly #options: GraphStageOptions;
  readonly #graphs = new Map<number, StageGraph>();
  readonly #programs = new Map<number, Promise<StagePrograms>>();
  readonly #passes = new Map<string, RecordedPass>();

  /** Lowers nothing yet. */
  constructor(options: GraphStageOptions) {
    this.store = options.store;
    this.#options = options;
  }

  /** The pass over `size` samples in a slot. */
  pass(slot: number, size: number): RecordedPass {
    const key = `${slot}/${size}`, known = this.#passes.get(key) ?? this.#makePass(size);
    this.#passes.set(key, known);
    return known;
  }

  /** Fills what a pass reads; `read` writes sample `i` to its place. */
  fill(pass: RecordedPass, read: (i: number, views: BatchViews) => void): void {
    fillBatch(this.#options.heap, this.#options.source, { ...pass, read });
  }

  /** The graphs for a number of samples; compiled once. */
  programs(size: number): Promise<StagePrograms> {
    const known = this.#programs.get(size) ?? this.#compile(size);
    this.#programs.set(size, known);
    return known;
  }

  async #compile(size: number): Promise<StagePrograms> {
    const graph = this.#graphOf(size), runtime = this.#options.runtime!;
    return {
      graph,
      forward: await runtime.compile(graph.forward),
      backward: await runtime.compile(graph.backward),
    };
  }

  #graphOf(size: number): StageGraph {
    const known = this.#graphs.get(size) ?? lowerStage(this.#options, size);
    this.#graphs.set(size, known);
    return known;
  }

  #makePass(size: number): RecordedPass {
    const { heap, runtime, source, range } = this.#options, graph = this.#graphOf(size);
    const allocate = (name: string, value: onnx.Value, dtype: "f32" | "i32" = "f32") => {
      const span = heap.allocate(name, onnx.countElements(value.shape), "activations", dtype);
      return new Tensor({ name, shape: value.shape as Shape, span, requiresGradient: false });
    };
    const isFirst = range.start === 0, isLast = graph.targets !== undefined;
    const input = allocate(
      isFirst ? "inputs" : "activations",
      graph.input,
      isFirst ? source.inputDType : "f32",
    );
    const targets = isLast ? allocate("targets", graph.targets!, "i32") : undefined;
    const spanPair = (name: string, value: onnx.Value) => {
      return { values: allocate(name, value).span, gradient: allocate(`gradient of ${name}`, value).span };
    };
    const received = isFirst
      ? undefined
      : { values: input.span, gradient: allocate("gradient of activations", graph.input).span };
    const sent = isLast ? undefined : spanPair("activations handed over", graph.result);
    const spans = { input: input.span, targets: targets?.span, received, sent };
    const tape = runtime === undefined ? idle() : new GraphPass({ stage: this, size, heap, runtime, spans });
    return { tape, size, inputs: isFirst ? input : undefined, targets, loss: undefined, received, sent };
  }
}

/** Passes of a device that only plans. */
function idle(): RecordedPass["tape"] {
  const nothing = () => {};
  return {
    ...{ forward: nothing, backward: nothing, backwardInput: nothing, backwardWeight: nothing },
    ...{ auxiliary: [], lossScale: 1 },
  };
}

interface Handed {
  readonly values: Span;
  readonly gradient: Span;
}

interface GraphPassOptions {
  readonly stage: GraphStage;
  readonly size: number;
  readonly heap: DeviceHeap;
  readonly runtime: onnx.OnnxRuntime;
  readonly spans: {
    readonly input: Span;
    readonly targets: Span | undefined;
    readonly received: Handed | undefined;
    readonly sent: Handed | undefined;
  };
}

/** The passes of the micro-batches of one slot: keeps what the backward pass reads of the forward pass. */
class GraphPass implements StageProgram, Pick<Tape, "auxiliary" | "lossScale"> {
  lossScale = 1;
  readonly auxiliary = [];
  readonly #options: GraphPassOptions;
  #saved = new Map<onnx.Value, onnx.OrtTensor>();

  constructor(options: GraphPassOptions) {
    this.#options = options;
  }

  async forward(): Promise<void> {
    const { stage, size, heap, runtime, spans } = this.#options,
      { graph, forward } = await stage.programs(size);
    const results = await forward.run(this.#feeds(graph)), result = results.get(graph.result)!;
    // A pass without a backward pass, of an evaluation, has left its own.
    this.#forget();
    this.#saved = new Map(graph.saved.map((value) => [value, results.get(value)!]));
    if (spans.sent === undefined) return stage.weights!.addLoss(result);
    await runtime.read([{ tensor: result, into: heap.f32(spans.sent.values) as Float32Array }]);
    if (!this.#saved.has(graph.result)) result.dispose();
  }

  async backward(): Promise<void> {
    const { stage, size, heap, runtime, spans } = this.#options,
      { graph, backward } = await stage.programs(size);
    const seed = spans.sent === undefined ? Float32Array.of(this.lossScale) : heap.f32(spans.sent.gradient);
    const feeds = new Map([...this.#feeds(graph), ...this.#saved]);
    feeds.set(graph.dResult, runtime.feed(seed as Float32Array, graph.dResult.shape as Shape));
    const results = await backward.run(feeds), deltas = new Map<string, onnx.OrtTensor>();
    for (const [name, { gradient }] of graph.parameters) deltas.set(name, results.get(gradient)!);
    this.#forget();
    await stage.weights!.addGradients(stage.store, deltas);
    if (graph.dInput === undefined || spans.received === undefined) return;
    const dInput = results.get(graph.dInput)!;
    await runtime.read([{ tensor: dInput, into: heap.f32(spans.received.gradient) as Float32Array }]);
    dInput.dispose();
  }

  /** Both kinds of gradients come from one graph. */
  backwardInput(): Promise<void> {
    return this.backward();
  }

  /** See {@link backwardInput}. */
  backwardWeight(): void {}

  #feeds(graph: StageGraph): Map<onnx.Value, onnx.OrtTensor> {
    const { stage, heap, runtime, spans } = this.#options, feeds = new Map<onnx.Value, onnx.OrtTensor>();
    const feed = (value: onnx.Value | undefined, span: Span | undefined) => {
      if (value === undefined || span === undefined) return;
      const elements = value.type === "i32" ? heap.i32(span) : heap.f32(span);
      feeds.set(value, runtime.feed(elements as Float32Array | Int32Array, value.shape as Shape));
    };
    feed(graph.input, spans.input);
    feed(graph.targets, spans.targets);
    for (const [name, { value }] of graph.parameters) {
      feeds.set(value, stage.weights!.valueOf(stage.store, name));
    }
    return feeds;
  }

  #forget(): void {
    for (const tensor of this.#saved.values()) tensor.dispose();
    this.#saved.clear();
  }
}

/** Who holds what; see {@link holdWeights}. */
export interface Holder {
  /** Takes the parameters. */
  readonly runtime: onnx.OnnxRuntime;
  /** The memory of the device, which has them so far. */
  readonly heap: DeviceHeap;
  /** Its moments go with the parameters. */
  readonly optimizer: AdamW;
  /** Of the rank, in the order of the optimizer. */
  readonly stages: readonly TrainStage[];
}

/** Moves the parameters of a rank, with their moments, to onnxruntime. */
export function holdWeights(
  { runtime, heap, optimizer, stages }: Holder,
  placeOf: (piece: Piece) => Pick<HeldOptions, "isCounted" | "isCrossing">,
): GraphWeights {
  const weights = new GraphWeights(runtime, heap, optimizer.config), moments = optimizer.moments.values();
  for (const stage of stages) {
    const { store } = stage, pieces = store.updatePieces();
    weights.begin(
      pieces.map((piece) => ({ store, piece, moments: moments.next().value!, ...placeOf(piece) })),
    );
    if (stage instanceof GraphStage) stage.weights = weights;
  }
  return weights;
}
