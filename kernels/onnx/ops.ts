/**
 * The ONNX operators that Tessera's models and their gradients are made of, with the shapes of what they compute.
 *
 * Each function adds a node to the graph of its inputs; `vjp.ts` has the gradient of each.
 * Source: the ONNX operator schemas, opset 20.
 *
 * @module
 */
import { type Dim, type Graph, numberOf, type Value, type ValueType } from "./graph.ts";

/** Elementwise operators of two values. */
export type BinaryOp = "Add" | "Sub" | "Mul" | "Div";
/** Elementwise functions. */
export type UnaryOp = "Exp" | "Log" | "Sqrt" | "Tanh" | "Sigmoid" | "Erf" | "Relu" | "Neg" | "Abs";
/** What becomes of the elements along the axes of a reduction. */
export type Reduction = "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceSumSquare";

/** The shape of what an elementwise operator makes of two: trailing dims are matched, 1 is stretched. */
export function broadcastShape(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length),
    at = (shape: readonly Dim[], i: number) => shape[i - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, i) => {
    const x = at(a, i), y = at(b, i);
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new RangeError(`Cannot match shapes [${a}] and [${b}]: dims must be equal or 1`);
  });
}

/** An elementwise operator of two values; a number is a scalar. */
export function binary(op: BinaryOp, a: Value, b: Value | number): Value {
  const right = typeof b === "number" ? a.graph.scalar(b) : b;
  return a.graph.node({ op, inputs: [a, right], shape: broadcastShape(a.shape, right.shape) });
}

/** `a + b`. */
export const add = (a: Value, b: Value | number): Value => binary("Add", a, b);
/** `a - b`. */
export const sub = (a: Value, b: Value | number): Value => binary("Sub", a, b);
/** `a * b`. */
export const mul = (a: Value, b: Value | number): Value => binary("Mul", a, b);
/** `a / b`. */
export const div = (a: Value, b: Value | number): Value => binary("Div", a, b);

/** A function of each element. */
export function unary(op: UnaryOp, x: Value): Value {
  return x.graph.node({ op, inputs: [x], shape: x.shape });
}

/** Gaussian error linear unit, tanh form. */
export function gelu(x: Value): Value {
  return x.graph.node({ op: "Gelu", inputs: [x], shape: x.shape, attributes: { approximate: "tanh" } });
}

/** Gaussian error linear unit, with erf. */
export function geluErf(x: Value): Value {
  return x.graph.node({ op: "Gelu", inputs: [x], shape: x.shape, attributes: { approximate: "none" } });
}

/** Products of the matrices in the last two dims; the dims before them are matched as those of elementwise operators. */
export function matmul(a: Value, b: Value): Value {
  const [m, k] = a.shape.slice(-2), [k2, n] = b.shape.slice(-2);
  if (k !== k2) {
    throw new RangeError(`Cannot multiply [${a.shape}] and [${b.shape}]: inner dims must be equal`);
  }
  const outer = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return a.graph.node({ op: "MatMul", inputs: [a, b], shape: [...outer, m, n] });
}

/** The dims in another order. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return x.graph.node({
    op: "Transpose",
    inputs: [x],
    shape: perm.map((axis) => x.shape[axis]),
    attributes: { perm },
  });
}

/** The last two dims swapped. */
export function transposeLast(x: Value): Value {
  const rank = x.shape.length, perm = Array.from({ length: rank }, (_, i) => i);
  return transpose(x, [...perm.slice(0, -2), rank - 1, rank - 2]);
}

/** The same elements under another shape; 0 keeps the dim at its place, one -1 is what is left over. */
export function reshape(x: Value, sizes: readonly number[]): Value {
  const kept = sizes.map((size, i) => size === 0 ? x.shape[i] : size);
  const shape = kept.map((dim) => dim === -1 ? restOf(x, kept) : dim);
  return x.graph.node({ op: "Reshape", inputs: [x, x.graph.sizes(sizes)], shape });
}

/** A dim of 1 before the one at `axis`. */
export function insertDim(x: Value, axis: number): Value {
  const shape = [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)];
  return x.graph.node({ op: "Unsqueeze", inputs: [x, x.graph.sizes([axis])], shape });
}

/** What is left over when the other dims have taken their part. */
function restOf(x: Value, kept: readonly Dim[]): Dim {
  const named = (dims: readonly Dim[]) => dims.filter((dim) => typeof dim === "string");
  const product = (dims: readonly Dim[]) =>
    dims.reduce<number>((all, dim) => typeof dim === "number" ? all * dim : all, 1);
  const left = named(x.shape).filter((name) => !kept.includes(name)),
    rest = product(x.shape) / -product(kept);
  return left.length === 0 ? rest : [...left, ...rest === 1 ? [] : [rest]].join(" x ");
}

/** Parts of these sizes along the last dim; one part is the value itself. */
export function splitLast(x: Value, sizes: readonly number[]): Value[] {
  if (sizes.length === 1) return [x];
  const axis = x.shape.length - 1, isEven = new Set(sizes).size === 1;
  const shapes = sizes.map((size) => [...x.shape.slice(0, -1), size]);
  if (isEven) {
    return x.graph.nodeOf(
      { op: "Split", inputs: [x], attributes: { axis, num_outputs: sizes.length } },
      shapes,
    );
  }
  return x.graph.nodeOf({ op: "Split", inputs: [x, x.graph.sizes(sizes)], attributes: { axis } }, shapes);
}

/** An element or a row of them, repeated to a shape. */
export function expand(x: Value, shape: readonly Dim[]): Value {
  const sizes = x.graph.sizes(shape.map(numberOf));
  return x.graph.node({ op: "Expand", inputs: [x, sizes], shape });
}

/** Values behind each other along an axis; `size` is that of the axis in the result. */
export function concat(values: readonly Value[], axis: number, size: Dim): Value {
  const shape = values[0].shape.map((dim, i) => i === axis ? size : dim);
  return values[0].graph.node({ op: "Concat", inputs: values, shape, attributes: { axis } });
}

/** Sums, means or maxima over axes, which become 1, or go if `keepDims` is false. */
export function reduce(op: Reduction, x: Value, axes: readonly number[], keepDims = true): Value {
  const isReduced = (i: number) => axes.includes(i) || axes.includes(i - x.shape.length);
  const shape = x.shape.map((dim, i) => isReduced(i) ? 1 : dim).filter((_, i) => keepDims || !isReduced(i));
  const attributes = { keepdims: Number(keepDims) };
  return x.graph.node({ op, inputs: [x, x.graph.sizes(axes)], shape, attributes });
}

/** Probabilities along the last dim. */
export function softmax(x: Value): Value {
  return x.graph.node({ op: "Softmax", inputs: [x], shape: x.shape, attributes: { axis: -1 } });
}

/** Rows of mean 0 and variance 1, scaled and shifted. */
export function layerNorm(x: Value, scale: Value, parts: { bias: Value; epsilon: number }): Value {
  const attributes = { axis: -1, epsilon: { float: parts.epsilon } };
  return x.graph.node({
    op: "LayerNormalization",
    inputs: [x, scale, parts.bias],
    shape: x.shape,
    attributes,
  });
}

/** Rows of a table by their ids. */
export function gather(table: Value, ids: Value): Value {
  const shape = [...ids.shape, ...table.shape.slice(1)];
  return table.graph.node({ op: "Gather", inputs: [table, ids], shape, attributes: { axis: 0 } });
}

/** Sizes of all dims, i64 [rank]. */
export function shapeOf(x: Value): Value {
  return x.graph.node({ op: "Shape", inputs: [x], shape: [x.shape.length], type: "i64" });
}

/** `start, start + 1, ...` below `end`, both i64 scalars; `size` is the name of how many there are. */
export function range(start: Value, end: Value, size: Dim): Value {
  const step = start.graph.constant("step", [], BigInt64Array.of(1n));
  return start.graph.node({ op: "Range", inputs: [start, end, step], shape: [size], type: "i64" });
}

/** The elements as another type. */
export function cast(x: Value, type: ValueType): Value {
  return x.graph.node({
    op: "Cast",
    inputs: [x],
    shape: x.shape,
    type,
    attributes: { to: ONNX_TYPES[type] },
  });
}

/** Numbers of element types in ONNX. */
export const ONNX_TYPES: Readonly<Record<ValueType, number>> = { f32: 1, i32: 6, i64: 7, bool: 9 };

/** A comparison of elements; the result is of type bool. */
export function compare(
  op: "Equal" | "Greater" | "GreaterOrEqual" | "LessOrEqual",
  a: Value,
  b: Value,
): Value {
  return a.graph.node({ op, inputs: [a, b], shape: broadcastShape(a.shape, b.shape), type: "bool" });
}

/** Elements of `a` where the condition holds, else those of `b`. */
export function where(condition: Value, a: Value, b: Value): Value {
  const shape = broadcastShape(condition.shape, broadcastShape(a.shape, b.shape));
  return a.graph.node({ op: "Where", inputs: [condition, a, b], shape, type: a.type });
}

/** 1 where an id has the value of its column, of `classes` columns; a row of zeros for ids outside of them. */
export function oneHot(ids: Value, classes: number): Value {
  const graph = ids.graph, columns = classIds(graph, classes);
  const column = reshape(ids, [...ids.shape.map(() => 0), 1]);
  return cast(compare("Equal", column, columns), "f32");
}

function classIds(graph: Graph, classes: number): Value {
  return graph.constant("classes", [classes], Int32Array.from({ length: classes }, (_, i) => i));
}
