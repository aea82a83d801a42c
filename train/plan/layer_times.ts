import type { Source } from "../../data/mod.ts";
import { createBackend, createDeviceMemory, DeviceHeap, now, type Span } from "../../kernels/mod.ts";
import { allocateGradients, type LayerFactory, RandomStream, Scope, type Shape, Tape } from "../../nn/mod.ts";
import { countParameters } from "../../strategies/mod.ts";
import { hostKernels, kernelsOfRank, type TrainConfig } from "../config/mod.ts";
import type { ModelParts } from "../../models/mod.ts";
import { traceShapes } from "../stage/mod.ts";

/** What the time of a layer depends on, besides the layer. */
export type TimedConfig = Pick<TrainConfig, "microBatch" | "kernels" | "recompute" | "seed">;

/** Says how long each layer takes, in milliseconds. */
export type MeasureLayers = (parts: ModelParts, source: Source, config: TimedConfig) => number[];

/** Passes before time counts: the engine compiles kernels anew when they have run for a while. */
const WARM_UP = 3;
const REPETITIONS = 5;
/** The largest a device can be; only what a layer needs is ever touched. */
const CAP_BYTES = 2 ** 32 - 2 ** 16;

/**
 * Times the forward and backward pass of every layer over a micro-batch, on one device in this thread: the median of
 * some repetitions. The last layer's time includes the loss, that of one that is recomputed its second forward pass.
 *
 * Layers of one type and equal sizes are timed once, so that equal layers have equal times. Whole layers are timed, also
 * where devices would share them: what counts is how layers compare.
 *
 * Cost: eight passes of each kind of layer, and the memory of one layer at a time.
 */
export function measureLayers(parts: ModelParts, source: Source, config: TimedConfig): number[] {
  const { layers } = parts, { microBatch: size } = config, counts = countParameters(layers);
  const shapes = traceShapes(parts, source, size, undefined), known = new Map<string, number>();
  const timer = new LayerTimer(parts, source, config);
  return layers.map(({ type }, i) => {
    const input = i === 0 ? undefined : shapes[i - 1];
    const kind = `${type} of ${counts[i]}: ${input} -> ${shapes[i]}`;
    const time = known.get(kind) ?? timer.time(i, input);
    known.set(kind, time);
    return time;
  });
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Forward passes of a layer for each backward pass. */
export function forwardPasses(
  { isRecomputable = false }: Pick<LayerFactory, "isRecomputable">,
  recompute: TimedConfig["recompute"],
): number {
  return isRecomputable && recompute === "full" ? 2 : 1;
}

/** A device of one layer at a time. */
class LayerTimer {
  readonly #heap = new DeviceHeap({ capBytes: CAP_BYTES, memory: createDeviceMemory(CAP_BYTES) });
  readonly #backend: ReturnType<typeof createBackend>;
  readonly #parts: ModelParts;
  readonly #source: Source;
  readonly #config: TimedConfig;

  constructor(parts: ModelParts, source: Source, config: TimedConfig) {
    this.#parts = parts;
    this.#source = source;
    this.#config = config;
    this.#backend = createBackend(hostKernels(kernelsOfRank(config, 0)), this.#heap);
  }

  /** Milliseconds of layer `i`; `input` is the shape of what the layer before returns. */
  time(i: number, input: Shape | undefined): number {
    const numForward = forwardPasses(this.#parts.layers[i], this.#config.recompute);
    const { tape, release } = this.#record(i, input), times: number[] = [];
    for (let round = 0; round < WARM_UP + REPETITIONS; round++) {
      const start = now();
      tape.forward();
      const middle = now();
      tape.backward();
      if (round >= WARM_UP) times.push(numForward * (middle - start) + now() - middle);
    }
    release();
    return median(times);
  }

  #record(i: number, input: Shape | undefined): { tape: Tape; release: () => void } {
    const heap = this.#heap, scope = Scope.root(heap, this.#config.seed), { layers } = this.#parts;
    const source = this.#source, size = this.#config.microBatch;
    const layer = layers[i].build(scope), gradients = allocateGradients(heap, scope.parameters);
    const tape = new Tape({ backend: this.#backend, training: true });
    const targets = tape.input("targets", [size, ...source.targetShape], "i32");
    this.#parts.setTargets(targets);
    const x = input === undefined
      ? tape.input("inputs", [size, ...source.inputShape], source.inputDType)
      : tape.handoff("activations", input).tensor;
    const out = layer.forward(tape, x);
    if (i < layers.length - 1) this.#fill(tape.handoffTo(out));
    else this.#parts.lossOf(tape, out);
    heap.i32(targets.span).fill(0);
    if (x.dtype === "i32") heap.i32(x.span).fill(0);
    else this.#fill(x.span);
    const release = () => {
      tape.release();
      for (const span of [gradients, ...scope.parameters.map((parameter) => parameter.span)]) heap.free(span);
    };
    return { tape, release };
  }

  /** Ordinary numbers: zeros, and what is left of the layer before, may be faster or slower. */
  #fill(span: Span): void {
    const values = this.#heap.f32(span), stream = new RandomStream(this.#config.seed, "activations");
    for (let i = 0; i < values.length; i++) values[i] = stream.normal(i);
  }
}
