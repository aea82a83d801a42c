import type { Source } from "../../data/mod.ts";
import { createBackend, onnx, phantomHeap } from "../../kernels/mod.ts";
import { Lowering, Scope, type Shape, Tape } from "../../nn/mod.ts";
import type { ModelParts } from "../../models/mod.ts";
import { traceShapes } from "./trace_shapes.ts";

/** A parameter of a stage in its graphs. */
export interface GraphParameter {
  /** Input of both graphs. */
  readonly value: onnx.Value;
  /** Output of the backward graph. */
  readonly gradient: onnx.Value;
}

/** The forward and the backward pass of some samples through a pipeline stage, as two graphs. */
export interface StageGraph {
  /** Token ids, features, or what the stage before hands over. */
  readonly input: onnx.Value;
  /** Of the last stage. */
  readonly targets: onnx.Value | undefined;
  /** What is handed over; of the last stage the sum of the losses of all rows. */
  readonly result: onnx.Value;
  /** Gradient of the result. */
  readonly dResult: onnx.Value;
  /** Gradient of the input, if it is that of another stage. */
  readonly dInput: onnx.Value | undefined;
  /** By name, in the order of first use. */
  readonly parameters: ReadonlyMap<string, GraphParameter>;
  /** What the backward graph reads of the forward graph. */
  readonly saved: readonly onnx.Value[];
  /** Computes the result and what is saved. */
  readonly forward: onnx.GraphPart;
  /** Computes the gradients. */
  readonly backward: onnx.GraphPart;
}

/** What is lowered. */
export interface StageGraphOptions {
  /** The model. */
  readonly parts: ModelParts;
  /** Says the shapes of samples. */
  readonly source: Source;
  /** The stage's layers `[start, end)` of the model. */
  readonly range: { readonly start: number; readonly end: number };
}

/** Operators that cost less to run again than to keep what they make: they move elements, or compare ids. */
const RECOMPUTED = ["Reshape", "Transpose", "Split", "Equal", "GreaterOrEqual", "Cast"];

/**
 * Lowers the passes of `size` samples through a stage.
 *
 * @throws {TypeError} Names an op of the model that has no ONNX form, or documents that share a sample.
 */
export function lowerStage(options: StageGraphOptions, size: number): StageGraph {
  if (options.source.hasDocuments) throw new TypeError("documents that share a sample have no ONNX form");
  const graph = new onnx.Graph(),
    { lowering, input, targets, output, isFirst } = lowerForward(options, size, graph);
  const result = targets === undefined ? output : onnx.reduce("ReduceSum", output, [0], false);
  const dResult = graph.input("gradient of the result", result.shape);
  const forwardValues = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const again = new Set(
    graph.nodes.filter(({ op }) => RECOMPUTED.includes(op)).flatMap(({ outputs }) => outputs),
  );
  const names = [...lowering.parameters.keys()], values = [...lowering.parameters.values()];
  const wrt = isFirst ? values : [...values, input];
  const found = onnx.gradients(graph, new Map([[result, dResult]]), wrt);
  const deltas = distinct(found.map((delta, i) => delta ?? onnx.expand(graph.scalar(0), wrt[i].shape)));
  const isKept = (value: onnx.Value) => forwardValues.has(value) && !again.has(value);
  const backward = onnx.partOf(graph, deltas, isKept);
  const saved = backward.inputs.filter((value) => forwardValues.has(value));
  const forward = onnx.partOf(graph, [...new Set([result, ...saved])]);
  const parameters = new Map(names.map((name, i) => [name, { value: values[i], gradient: deltas[i] }]));
  const dInput = isFirst ? undefined : deltas.at(-1);
  return { input, targets, result, dResult, dInput, parameters, saved, forward, backward };
}

interface LoweredForward {
  readonly lowering: Lowering;
  readonly input: onnx.Value;
  readonly targets: onnx.Value | undefined;
  /** Losses of rows, or activations. */
  readonly output: onnx.Value;
  readonly isFirst: boolean;
}

/** Records the stage on a tape without memory, and lowers the tape. */
function lowerForward(
  { parts, source, range }: StageGraphOptions,
  size: number,
  graph: onnx.Graph,
): LoweredForward {
  const isFirst = range.start === 0, isLast = range.end === parts.layers.length, heap = phantomHeap();
  const tape = new Tape({ backend: createBackend("reference", heap), training: false }),
    lowering = new Lowering(graph);
  const bound = (name: string, shape: Shape, dtype: "f32" | "i32") => {
    const tensor = tape.input(name, shape, dtype), value = graph.input(name, shape, dtype);
    lowering.bind(tensor, value);
    return { tensor, value };
  };
  const input = isFirst
    ? bound("inputs", [size, ...source.inputShape], source.inputDType)
    : bound("activations", traceShapes(parts, source, size, undefined)[range.start - 1], "f32");
  const targets = isLast ? bound("targets", [size, ...source.targetShape], "i32") : undefined;
  if (targets !== undefined) parts.setTargets(targets.tensor);
  const scope = Scope.of({ heap, seed: 0 });
  let x = input.tensor;
  for (const layer of parts.layers.slice(range.start, range.end)) x = layer.build(scope).forward(tape, x);
  const output = isLast ? parts.lossOf(tape, x).rows : x;
  tape.lower(lowering);
  return { lowering, input: input.value, targets: targets?.value, output: lowering.valueOf(output), isFirst };
}

/** Outputs of a graph must differ from each other and from what nobody computes. */
function distinct(values: readonly onnx.Value[]): onnx.Value[] {
  const seen = new Set<onnx.Value>();
  return values.map((value) => {
    const isMade = value.graph.nodes.some(({ outputs }) => outputs.includes(value));
    const own = isMade && !seen.has(value) ? value : onnx.add(value, 0);
    seen.add(own);
    return own;
  });
}
