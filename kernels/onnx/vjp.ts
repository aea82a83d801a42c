/**
 * Gradients of a graph: for every operator the rule that takes the gradient of its output to those of its inputs.
 *
 * Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 3 (reverse mode).
 *
 * @module
 */
import { type Dim, type Graph, type Node, numberOf, type Value } from "./graph.ts";
import {
  add,
  cast,
  compare,
  concat,
  div,
  expand,
  matmul,
  mul,
  oneHot,
  reduce,
  reshape,
  splitLast,
  sub,
  transpose,
  transposeLast,
  unary,
} from "./ops.ts";

/** The gradients of a node's inputs from those of its outputs; undefined where there is none. */
type Rule = (node: Node, dOutputs: readonly (Value | undefined)[]) => readonly (Value | undefined)[];

/**
 * Adds to a graph what computes the gradients of `wrt`.
 *
 * @param seeds Outputs that gradients start from, each with its gradient.
 * @returns A gradient for each of `wrt`; undefined for one that no seed depends on.
 * @throws {TypeError} If a gradient would pass an operator that has no rule.
 */
export function gradients(
  graph: Graph,
  seeds: ReadonlyMap<Value, Value>,
  wrt: readonly Value[],
): (Value | undefined)[] {
  const deltas = new Map(seeds), nodes = [...graph.nodes], depends = dependents(nodes, wrt);
  for (const node of nodes.toReversed()) {
    const dOutputs = node.outputs.map((output) => deltas.get(output));
    if (dOutputs.every((delta) => delta === undefined)) continue;
    if (!node.outputs.some((output) => depends.has(output))) continue;
    const rule = RULES[node.op];
    if (rule === undefined) throw new TypeError(`Cannot differentiate ${node.op}: it has no rule in vjp.ts`);
    rule(node, dOutputs).forEach((delta, i) => {
      const input = node.inputs[i];
      if (delta === undefined || input === undefined || !depends.has(input)) return;
      const known = deltas.get(input);
      deltas.set(input, known === undefined ? delta : add(known, delta));
    });
  }
  return wrt.map((value) => deltas.get(value));
}

/** Values that depend on one of `wrt`, and these. */
function dependents(nodes: readonly Node[], wrt: readonly Value[]): Set<Value> {
  const found = new Set(wrt);
  for (const { inputs, outputs } of nodes) {
    if (inputs.some((input) => input !== undefined && found.has(input))) outputs.forEach((o) => found.add(o));
  }
  return found;
}

/** Sums a gradient over the dims that were stretched. */
function sumTo(delta: Value, shape: readonly Dim[]): Value {
  const extra = delta.shape.length - shape.length;
  const axes = delta.shape.map((_, i) => i).filter((i) => {
    return i < extra || (shape[i - extra] === 1 && delta.shape[i] !== 1);
  });
  if (axes.length === 0) return delta;
  const sum = reduce("ReduceSum", delta, axes);
  return extra === 0 ? sum : reshape(sum, shape.map(numberOf));
}

/** Rows by columns: all dims but the last in one. */
function asMatrix(x: Value): Value {
  return x.shape.length === 2 ? x : reshape(x, [-1, numberOf(x.shape.at(-1)!)]);
}

/** A rule of two inputs of an elementwise operator. */
function ofBinary(rule: (a: Value, b: Value, d: Value) => readonly [Value, Value]): Rule {
  return ({ inputs: [a, b] }, [d]) => {
    const [dA, dB] = rule(a!, b!, d!);
    return [sumTo(dA, a!.shape), sumTo(dB, b!.shape)];
  };
}

/** A rule of a function of each element; `y` is its result. */
function ofUnary(rule: (x: Value, y: Value, d: Value) => Value): Rule {
  return ({ inputs: [x], outputs: [y] }, [d]) => [rule(x!, y, d!)];
}

const MINUS_ONE = -1;
/** Of the tanh form of GELU: sqrt(2 / pi), and the weight of the cube. */
const GELU = { scale: Math.sqrt(2 / Math.PI), cube: 0.044715 };

/** `gelu'(x) = (1 + t) / 2 + x (1 - t^2) u' / 2` with `t = tanh(u)`, `u = scale (x + cube x^3)`. */
function geluSlope(x: Value): Value {
  const square = mul(x, x);
  const t = unary("Tanh", mul(mul(x, add(mul(square, GELU.cube), 1)), GELU.scale));
  const slope = mul(add(mul(square, 3 * GELU.cube), 1), GELU.scale);
  const bend = mul(mul(x, sub(x.graph.scalar(1), mul(t, t))), slope);
  return mul(add(add(bend, t), 1), 0.5);
}

/** `Phi(x) + x Phi'(x)` with the distribution function `Phi(x) = (1 + erf(x / sqrt 2)) / 2`. */
function geluErfSlope(x: Value): Value {
  const phi = mul(add(unary("Erf", mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(unary("Exp", mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(phi, mul(x, density));
}

const geluRule: Rule = ({ inputs: [x], attributes: { approximate } }, [d]) => {
  return [mul(d!, approximate === "tanh" ? geluSlope(x!) : geluErfSlope(x!))];
};

const matmulRule: Rule = ({ inputs: [a, b] }, [d]) => {
  const isTable = b!.shape.length === 2;
  const dA = matmul(d!, transposeLast(b!));
  if (isTable) return [dA, matmul(transposeLast(asMatrix(a!)), asMatrix(d!))];
  return [sumTo(dA, a!.shape), sumTo(matmul(transposeLast(a!), d!), b!.shape)];
};

/** Statistics are computed again: the operator keeps none that every backend gives. */
const layerNormRule: Rule = ({ inputs: [x, scale, bias], attributes }, [d]) => {
  const { float: epsilon } = attributes.epsilon as { float: number },
    mean = (v: Value) => reduce("ReduceMean", v, [-1]);
  const centred = sub(x!, mean(x!));
  const deviation = unary("Sqrt", add(mean(mul(centred, centred)), epsilon));
  const normal = div(centred, deviation), dNormal = mul(d!, scale!);
  const dX = div(sub(sub(dNormal, mean(dNormal)), mul(normal, mean(mul(dNormal, normal)))), deviation);
  return [dX, sumTo(mul(d!, normal), scale!.shape), sumTo(d!, bias!.shape)];
};

/** By operator. */
const RULES: Readonly<Record<string, Rule>> = {
  Add: ofBinary((_a, _b, d) => [d, d]),
  Sub: ofBinary((_a, _b, d) => [d, mul(d, MINUS_ONE)]),
  Mul: ofBinary((a, b, d) => [mul(d, b), mul(d, a)]),
  Div: ofBinary((a, b, d) => [div(d, b), mul(div(mul(d, a), mul(b, b)), MINUS_ONE)]),
  Neg: ofUnary((_x, _y, d) => mul(d, MINUS_ONE)),
  Exp: ofUnary((_x, y, d) => mul(d, y)),
  Log: ofUnary((x, _y, d) => div(d, x)),
  Sqrt: ofUnary((_x, y, d) => div(mul(d, 0.5), y)),
  Tanh: ofUnary((x, y, d) => mul(d, sub(x.graph.scalar(1), mul(y, y)))),
  Sigmoid: ofUnary((x, y, d) => mul(d, mul(y, sub(x.graph.scalar(1), y)))),
  Relu: ofUnary((x, _y, d) => mul(d, cast(compare("Greater", x, x.graph.scalar(0)), "f32"))),
  Erf: ofUnary((x, _y, d) => mul(d, mul(unary("Exp", mul(mul(x, x), -1)), 2 / Math.sqrt(Math.PI)))),
  Gelu: geluRule,
  Softmax: ofUnary((_x, y, d) => mul(y, sub(d, reduce("ReduceSum", mul(d, y), [-1])))),
  MatMul: matmulRule,
  LayerNormalization: layerNormRule,
  Transpose: ({ inputs: [x], attributes }, [d]) => {
    const perm = attributes.perm as readonly number[];
    return [transpose(d!, x!.shape.map((_, axis) => perm.indexOf(axis)))];
  },
  Reshape: ({ inputs: [x] }, [d]) => [reshape(d!, x!.shape.map(numberOf)), undefined],
  Split: ({ inputs: [x], outputs }, deltas) => {
    const parts = outputs.map((part, i) => deltas[i] ?? expand(part.graph.scalar(0), part.shape));
    return [concat(parts, x!.shape.length - 1, x!.shape.at(-1)!)];
  },
  Concat: ({ inputs }, [d]) => splitLast(d!, inputs.map((part) => numberOf(part!.shape.at(-1)!))),
  Gather: ({ inputs: [table, ids] }, [d]) => {
    const chosen = asMatrix(oneHot(ids!, numberOf(table!.shape[0])));
    return [matmul(transposeLast(chosen), asMatrix(d!)), undefined];
  },
  ReduceSum: (node, [d]) => [stretch(node, d!), undefined],
  ReduceMean: (node, [d]) => {
    const count = ({ shape }: Value) => shape.reduce<number>((all, dim) => all * numberOf(dim), 1);
    return [mul(stretch(node, d!), count(node.outputs[0]) / count(node.inputs[0]!)), undefined];
  },
  // Only used as a shift that results do not depend on.
  ReduceMax: () => [],
};

/** The gradient of a sum, for each of the summed elements. */
function stretch({ inputs: [x, axes], attributes }: Node, delta: Value): Value {
  if (attributes.keepdims === 1) return expand(delta, x!.shape);
  const rank = x!.shape.length,
    reduced = [...axes!.elements as BigInt64Array].map((axis) => (Number(axis) + rank) % rank);
  return expand(reshape(delta, x!.shape.map((dim, i) => reduced.includes(i) ? 1 : numberOf(dim))), x!.shape);
}
