import { numElements, onnx } from "../kernels/mod.ts";
import { type AttentionInputs, columnsByTensor, type ColumnView } from "./ops/attention_inputs.ts";
import { Parameter, type Tensor } from "./tensor.ts";

/** Computes attention. Result [B, T, H D]. */
export type LowerAttention = (heads: Heads, window?: number) => onnx.Value;

/** How a tape becomes a graph. */
export interface LoweringOptions {
  /** What parameters are; by default inputs of the graph by their names. */
  readonly parameter?: (parameter: Parameter) => onnx.Value;
  /** By default causal within the sequences of the batch. */
  readonly attend?: LowerAttention;
}

/** The values of a graph that stand for the tensors of a tape. See `Tape.lower`. */
export class Lowering {
  /** Gets the nodes. */
  readonly graph: onnx.Graph;
  /** Computes attention. */
  readonly attend: LowerAttention;
  /** Values of parameters by name, in the order of first use. */
  readonly parameters: Map<string, onnx.Value> = new Map();
  readonly #options: LoweringOptions;
  readonly #values = new Map<Tensor, onnx.Value>();

  /** Stands for no tensor yet. */
  constructor(graph: onnx.Graph, options: LoweringOptions = {}) {
    this.graph = graph;
    this.#options = options;
    this.attend = options.attend ?? attendCausally;
  }

  /** Says what stands for a tensor. */
  bind(tensor: Tensor, value: onnx.Value): void {
    this.#values.set(tensor, value);
  }

  /** Makes a tensor whose elements never change a constant of the graph. */
  bindConstant(tensor: Tensor, value: (index: number) => number): void {
    const { name, shape, dtype } = tensor;
    const elements = Array.from({ length: numElements(shape) }, (_, i) => value(i));
    const typed = dtype === "f32" ? Float32Array.from(elements) : Int32Array.from(elements);
    this.bind(tensor, this.graph.constant(name, shape, typed));
  }

  /**
   * What stands for a tensor.
   *
   * @throws {TypeError} If no op has made it, and nobody said what it is.
   */
  valueOf(tensor: Tensor): onnx.Value {
    const known = this.#values.get(tensor);
    if (known !== undefined) return known;
    if (tensor instanceof Parameter) return this.#parameter(tensor);
    throw new TypeError(`Cannot lower ${tensor.name}: it is neither an input nor made by an op before`);
  }

  #parameter(parameter: Parameter): onnx.Value {
    const { name, shape } = parameter;
    const value = this.parameters.get(name) ?? this.#options.parameter?.(parameter) ??
      this.graph.input(name, shape);
    this.parameters.set(name, value);
    return value;
  }
}

/** Queries, keys and values of all heads, the keys transposed: [B, H, T, D], [B, G, D, T] and [B, G, T, D]. */
export type Heads = readonly [q: onnx.Value, k: onnx.Value, v: onnx.Value];

/** The heads that attention reads; a tensor that holds several of q, k and v is taken apart. */
export function headsOf(lowering: Lowering, inputs: AttentionInputs): Heads {
  const parts = new Map<ColumnView, onnx.Value>(), { headDim } = inputs;
  for (const [tensor, views] of columnsByTensor(inputs)) {
    const values = onnx.splitLast(lowering.valueOf(tensor), views.map(({ width }) => width));
    views.forEach(({ view, width }, i) =>
      parts.set(view, onnx.reshape(values[i], [0, 0, width / headDim, headDim]))
    );
  }
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((view) => parts.get(view)!);
  return [onnx.transpose(q, [0, 2, 1, 3]), onnx.transpose(k, [0, 2, 3, 1]), onnx.transpose(v, [0, 2, 1, 3])];
}

/**
 * Softmax of scaled dot products, times values; heads side by side again. Where heads of queries share heads of keys and
 * values, these are stretched by the products' rules for shapes, not copied.
 *
 * Shapes: q [B, H, T, D], k [B, G, D, K], v [B, G, K, D], result [B, T, H D].
 *
 * @param mask Added to the scores: [T, K], or [B, 1, T, K].
 */
export function attendHeads([q, k, v]: Heads, mask: onnx.Value): onnx.Value {
  const [, heads, , headDim] = q.shape.map((dim, i) => i % 2 === 1 ? onnx.numberOf(dim) : 0);
  const kvHeads = onnx.numberOf(k.shape[1]), group = heads / kvHeads, isShared = group > 1;
  const scaled = onnx.mul(q, 1 / Math.sqrt(headDim));
  const queries = isShared ? onnx.reshape(scaled, [0, kvHeads, group, -1, headDim]) : scaled;
  const keys = isShared ? onnx.reshape(k, [0, kvHeads, 1, headDim, -1]) : k;
  const values = isShared ? onnx.reshape(v, [0, kvHeads, 1, -1, headDim]) : v;
  const hidden = isShared && mask.shape.length === 4 ? onnx.insertDim(mask, 2) : mask;
  const mixed = onnx.matmul(onnx.softmax(onnx.add(onnx.matmul(queries, keys), hidden)), values);
  const ofHeads = isShared ? onnx.reshape(mixed, [0, heads, -1, headDim]) : mixed;
  return onnx.reshape(onnx.transpose(ofHeads, [0, 2, 1, 3]), [0, 0, heads * headDim]);
}

/** Added to scores of keys that a query must not see: far below all others, and finite, as GPUs may compute without infinity. */
export const HIDDEN_SCORE: number = -1e30;

function attendCausally(heads: Heads, window = Infinity): onnx.Value {
  const [{ shape, graph }] = heads, steps = onnx.numberOf(shape[2]);
  const mask = new Float32Array(steps * steps).map((_, i) => {
    const distance = Math.floor(i / steps) - i % steps;
    return distance < 0 || distance >= window ? HIDDEN_SCORE : 0;
  });
  return attendHeads(heads, graph.constant("causal mask", [steps, steps], mask));
}
