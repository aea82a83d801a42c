import { type DeviceHeap, onnx } from "../../kernels/mod.ts";
import { type AdamWConfig, type AdamWScalars, adamwScalars, lowerAdamW, type Moments } from "../../nn/mod.ts";
import type { GradientShare, ParameterStore, Piece } from "../../strategies/mod.ts";

/** What {@link GraphWeights.begin} is told of a parameter. */
export interface HeldOptions {
  /** The stage that it belongs to. */
  readonly store: ParameterStore;
  /** Where it lies in the device's memory. */
  readonly piece: Piece;
  /** Those of the optimizer. */
  readonly moments: Moments;
  /** Other ranks add to its gradient: it goes through the device's memory. */
  readonly isCrossing: boolean;
  /** Its gradient counts in the norm of the whole, and other ranks do not see to that. */
  readonly isCounted: boolean;
}

/** A parameter that lives in the memory of onnxruntime: on the GPU, if that is where it computes. */
interface Held extends Omit<HeldOptions, "store"> {
  value: onnx.OrtTensor;
  m: onnx.OrtTensor;
  v: onnx.OrtTensor;
  /** The sum over the micro-batches of this step so far. */
  gradient: onnx.OrtTensor | undefined;
}

/** A graph that is compiled when it is first run. */
interface Compiled<Values> {
  readonly values: Values;
  readonly program: onnx.GraphProgram;
}

type NormValues = readonly { readonly input: onnx.Value; readonly output: readonly onnx.Value[] }[];

/**
 * Values, moments and gradients of a rank that computes through onnxruntime. They stay there from step to step; what
 * crosses to other ranks goes through the spans of the device's memory, where collectives find it.
 */
export class GraphWeights {
  readonly #runtime: onnx.OnnxRuntime;
  readonly #heap: DeviceHeap;
  readonly #config: AdamWConfig;
  readonly #held: Held[] = [];
  readonly #byStore = new Map<ParameterStore, Map<string, Held>>();
  readonly #losses: onnx.OrtTensor[] = [];
  readonly #sums = new Map<ParameterStore, Compiled<Map<string, readonly onnx.Value[]>>>();
  #update: Compiled<UpdateValues> | undefined;
  #norm: Compiled<NormValues> | undefined;
  #share: GradientShare = { max: 0, squares: 0 };

  /** Holds nothing yet. */
  constructor(runtime: onnx.OnnxRuntime, heap: DeviceHeap, config: AdamWConfig) {
    this.#runtime = runtime;
    this.#heap = heap;
    this.#config = config;
  }

  /** Takes over what the memory of the device holds. */
  begin(parameters: readonly HeldOptions[]): void {
    for (const { store, ...options } of parameters) {
      const { values, parameter } = options.piece, { m, v } = options.moments;
      const [value, first, second] = [values, m, v].map((span) =>
        this.#runtime.upload(this.#heap.f32(span), parameter.shape)
      );
      const held = { ...options, value, m: first, v: second, gradient: undefined };
      this.#held.push(held);
      const known = this.#byStore.get(store) ?? new Map<string, Held>();
      this.#byStore.set(store, known.set(parameter.name, held));
    }
  }

  /** The values of a stage's parameter. */
  valueOf(store: ParameterStore, name: string): onnx.OrtTensor {
    return this.#byStore.get(store)!.get(name)!.value;
  }

  /** Forgets gradients and losses: a step begins. */
  clear(): void {
    for (const held of this.#held) replace(held, "gradient", undefined);
    for (const loss of this.#losses.splice(0)) loss.dispose();
    this.#runtime.bytesRead = 0;
  }

  /** Bytes that came back from onnxruntime since the step began. */
  get bytesRead(): number {
    return this.#runtime.bytesRead;
  }

  /** Gives the memory of onnxruntime back, and the GPU. */
  close(): void {
    this.#runtime.close();
  }

  /** Keeps the loss of a micro-batch until {@link settle}. */
  addLoss(loss: onnx.OrtTensor): void {
    this.#losses.push(loss);
  }

  /** Adds the gradients of a micro-batch to those of the step. */
  async addGradients(store: ParameterStore, deltas: ReadonlyMap<string, onnx.OrtTensor>): Promise<void> {
    const parameters = this.#byStore.get(store)!,
      isFirst = [...parameters.values()].every((h) => !h.gradient);
    if (isFirst) {
      for (const [name, delta] of deltas) parameters.get(name)!.gradient = delta;
      return;
    }
    const { values, program } = this.#sums.get(store) ?? await this.#compileSum(store);
    const feeds = new Map([...values].flatMap(([name, [sum, delta]]) => [
      [sum, parameters.get(name)!.gradient!] as const,
      [delta, deltas.get(name)!] as const,
    ]));
    const results = await program.run(feeds);
    for (const [name, [, , total]] of values) replace(parameters.get(name)!, "gradient", results.get(total));
    for (const delta of deltas.values()) delta.dispose();
  }

  /**
   * Waits for the passes of a step. Reads the sum of their losses and, in the same transfer, the gradients that cross to
   * other ranks, and the share of the others in the gradient norm.
   *
   * @returns The sum of the losses.
   */
  async settle(): Promise<number> {
    const crossing = this.#held.filter(({ isCrossing, gradient }) => isCrossing && gradient !== undefined);
    const shares = await this.#computeShare(), share = shares.map(() => new Float32Array(1));
    const lossSum = await this.readLosses([
      ...shares.map((tensor, i) => ({ tensor, into: share[i] })),
      ...crossing.map(({ gradient, piece }) => ({
        tensor: gradient!,
        into: this.#heap.f32(piece.gradient) as Float32Array,
      })),
    ]);
    for (const tensor of shares) tensor.dispose();
    const [[max], [squares]] = share.length === 0 ? [[0], [0]] : share;
    this.#share = { max, squares };
    return lossSum;
  }

  /** Reads the sum of the losses since it was last read, and what else is asked for in the same transfer. */
  async readLosses(more: readonly onnx.ReadRequest[] = []): Promise<number> {
    const tensors = this.#losses.splice(0), losses = tensors.map(() => new Float32Array(1));
    await this.#runtime.read([...tensors.map((tensor, i) => ({ tensor, into: losses[i] })), ...more]);
    for (const tensor of tensors) tensor.dispose();
    return losses.reduce((sum, [loss]) => sum + loss, 0);
  }

  /** The part of the gradient norm that lies in onnxruntime, as {@link settle} found it. */
  get share(): GradientShare {
    return this.#share;
  }

  /** Takes over the gradients that ranks have summed in memory. */
  takeGradients(): void {
    for (const held of this.#held) {
      if (!held.isCrossing) continue;
      const { gradient, parameter } = held.piece;
      replace(held, "gradient", this.#runtime.upload(this.#heap.f32(gradient), parameter.shape));
    }
  }

  /** Updates every parameter from its gradient; `step` counts from 1. */
  async update(step: number, learningRate: number, gradientScale: number): Promise<void> {
    const { values, program } = this.#update ??= await this.#compileUpdate();
    const numbers = adamwScalars(this.#config, { step, learningRate, gradientScale });
    const feeds = new Map<onnx.Value, onnx.OrtTensor>();
    for (const name of SCALARS) {
      feeds.set(values.scalars[name], this.#runtime.feed(Float32Array.of(numbers[name]), []));
    }
    this.#held.forEach((held, i) => {
      for (const name of STATE) feeds.set(values.before[i][name], held[name]);
      feeds.set(values.before[i].gradient, held.gradient!);
    });
    const results = await program.run(feeds);
    this.#held.forEach((held, i) => {
      for (const name of STATE) replace(held, name, results.get(values.after[i][name]));
    });
  }

  /** Copies values and moments to the memory of the device: before a checkpoint, or a comparison. */
  async download(): Promise<void> {
    const into = (span: Held["piece"]["values"]) => this.#heap.f32(span) as Float32Array;
    await this.#runtime.read(this.#held.flatMap(({ piece, moments, value, m, v }) => [
      { tensor: value, into: into(piece.values) },
      { tensor: m, into: into(moments.m) },
      { tensor: v, into: into(moments.v) },
    ]));
  }

  async #compileSum(store: ParameterStore): Promise<Compiled<Map<string, readonly onnx.Value[]>>> {
    const graph = new onnx.Graph(), values = new Map<string, readonly onnx.Value[]>();
    for (const [name, { piece: { parameter: { shape } } }] of this.#byStore.get(store)!) {
      const sum = graph.input(`sum of ${name}`, shape), delta = graph.input(`gradient of ${name}`, shape);
      values.set(name, [sum, delta, onnx.add(sum, delta)]);
    }
    const totals = [...values.values()].map(([, , total]) => total);
    const compiled = { values, program: await this.#runtime.compile(onnx.partOf(graph, totals)) };
    this.#sums.set(store, compiled);
    return compiled;
  }

  async #compileUpdate(): Promise<Compiled<UpdateValues>> {
    const graph = new onnx.Graph();
    const scalars: UpdateValues["scalars"] = {
      gradientScale: graph.input("gradient scale", []),
      rate: graph.input("rate", []),
      decayRate: graph.input("decay rate", []),
      rootCorrection: graph.input("root correction", []),
    };
    const before = this.#held.map(({ piece: { parameter: { name, shape } } }) => ({
      value: graph.input(name, shape),
      m: graph.input(`m of ${name}`, shape),
      v: graph.input(`v of ${name}`, shape),
      gradient: graph.input(`gradient of ${name}`, shape),
    }));
    const after = before.map((state, i) => {
      const { weightDecay } = this.#config, { isDecayed } = this.#held[i].piece.parameter;
      return lowerAdamW(state, scalars, { ...this.#config, weightDecay: isDecayed ? weightDecay : 0 });
    });
    const outputs = after.flatMap((state) => STATE.map((name) => state[name]));
    return {
      values: { scalars, before, after },
      program: await this.#runtime.compile(onnx.partOf(graph, outputs)),
    };
  }

  /**
   * The largest absolute value and the sum of squares of gradients that stay here: two tensors of one element, or
   * none.
   */
  async #computeShare(): Promise<onnx.OrtTensor[]> {
    const counted = this.#held.filter(({ isCounted, isCrossing }) => isCounted && !isCrossing);
    if (counted.length === 0 || counted.some(({ gradient }) => gradient === undefined)) return [];
    const { values, program } = this.#norm ??= await this.#compileNorm(counted);
    const results = await program.run(new Map(values.map(({ input }, i) => [input, counted[i].gradient!])));
    return values[0].output.map((value) => results.get(value)!);
  }

  async #compileNorm(counted: readonly Held[]): Promise<Compiled<NormValues>> {
    const graph = new onnx.Graph();
    const inputs = counted.map(({ piece: { parameter: { name, shape } } }) => graph.input(name, shape));
    const axesOf = ({ shape }: onnx.Value) => shape.map((_, axis) => axis);
    const max = inputs.map((x) => onnx.reduce("ReduceMax", onnx.unary("Abs", x), axesOf(x), false));
    const squares = inputs.map((x) => onnx.reduce("ReduceSumSquare", x, axesOf(x), false));
    const output = [
      pairwise(max, (a, b) => onnx.add(a, onnx.unary("Relu", onnx.sub(b, a)))),
      pairwise(squares, (a, b) => onnx.add(a, b)),
    ];
    const program = await this.#runtime.compile(onnx.partOf(graph, output));
    return { values: inputs.map((input) => ({ input, output })), program };
  }
}

interface UpdateValues {
  readonly scalars: AdamWScalars<onnx.Value>;
  readonly before: readonly (Record<typeof STATE[number], onnx.Value> & { readonly gradient: onnx.Value })[];
  readonly after: readonly Record<typeof STATE[number], onnx.Value>[];
}

const STATE = ["value", "m", "v"] as const;
const SCALARS = ["gradientScale", "rate", "decayRate", "rootCorrection"] as const;

/** Halves a list until one is left: rounding errors grow with the logarithm of its length. */
function pairwise(
  values: readonly onnx.Value[],
  join: (a: onnx.Value, b: onnx.Value) => onnx.Value,
): onnx.Value {
  if (values.length === 1) return values[0];
  const middle = values.length >> 1;
  return join(pairwise(values.slice(0, middle), join), pairwise(values.slice(middle), join));
}

/** Puts a tensor in the place of another, whose buffer is free then. */
function replace<Key extends "value" | "m" | "v" | "gradient">(
  held: Held,
  key: Key,
  tensor: Held[Key] | undefined,
): void {
  held[key]?.dispose();
  held[key] = tensor as Held[Key];
}
