/**
 * A graph of ONNX operators as it is built: nodes in an order in which they can run, and the values between them.
 *
 * @module
 */
import { numElements } from "../memory/span.ts";

/** Element type of a value. */
export type ValueType = "f32" | "i32" | "i64" | "bool";

/** Size of a dim: a number, or the name of one that is known when the graph runs. */
export type Dim = number | string;

/** An attribute of a node. */
export type Attribute = number | string | readonly number[] | { readonly float: number };

/** Elements of a constant. */
export type Elements = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** What a node computes, or what goes into a graph. */
export interface Value {
  /** Unique in the graph. */
  readonly name: string;
  /** Element type. */
  readonly type: ValueType;
  /** Outermost dim first. */
  readonly shape: readonly Dim[];
  /** The graph that it belongs to. */
  readonly graph: Graph;
  /** Elements of a constant. */
  readonly elements?: Elements;
}

/** An operator at work. */
export interface Node {
  /** Name in the ONNX specification. */
  readonly op: string;
  /** An optional input that is not given is undefined. */
  readonly inputs: readonly (Value | undefined)[];
  /** Most have one. */
  readonly outputs: readonly Value[];
  /** By name. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** What a node makes. */
export interface NodeSpec {
  /** Name in the ONNX specification. */
  readonly op: string;
  /** An optional input that is not given is undefined. */
  readonly inputs: readonly (Value | undefined)[];
  /** Shape of the output. */
  readonly shape: readonly Dim[];
  /** Of the output; by default that of the first input. */
  readonly type?: ValueType;
  /** By name. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** A model in the making: `ops.ts` adds to it, `encode.ts` writes it or a part of it. */
export class Graph {
  /** In an order in which they can run. */
  readonly nodes: Node[] = [];
  readonly #constants = new Map<string, Value>();
  readonly #names = new Set<string>();

  /** What is fed to the graph. */
  input(name: string, shape: readonly Dim[], type: ValueType = "f32"): Value {
    return { name: this.#unique(name), type, shape, graph: this };
  }

  /** A tensor that is part of the model. */
  constant(name: string, shape: readonly Dim[], elements: Elements): Value {
    return { name: this.#unique(name), type: typeOf(elements), shape, graph: this, elements };
  }

  /** A float32 number; equal ones are one value. */
  scalar(value: number): Value {
    return this.#shared(`scalar ${value}`, () => this.constant(`${value}`, [], Float32Array.of(value)));
  }

  /** Sizes or axes, as operators take them; equal ones are one value. */
  sizes(values: readonly number[]): Value {
    const elements = () => BigInt64Array.from(values, (value) => BigInt(value));
    return this.#shared(`sizes ${values}`, () => this.constant("sizes", [values.length], elements()));
  }

  /** Adds an operator with one output. */
  node(spec: NodeSpec): Value {
    const [output] = this.nodeOf(spec, [spec.shape]);
    return output;
  }

  /** Adds an operator with an output for each shape. */
  nodeOf(spec: Omit<NodeSpec, "shape">, shapes: readonly (readonly Dim[])[]): Value[] {
    const { op, inputs, attributes = {} } = spec, type = spec.type ?? inputs[0]!.type;
    const outputs = shapes.map((shape) => ({ name: this.#unique(op), type, shape, graph: this }));
    this.nodes.push({ op, inputs, outputs, attributes });
    return outputs;
  }

  #shared(key: string, make: () => Value): Value {
    const known = this.#constants.get(key) ?? make();
    this.#constants.set(key, known);
    return known;
  }

  #unique(name: string): string {
    let unique = name;
    for (let i = 1; this.#names.has(unique); i++) unique = `${name}_${i}`;
    this.#names.add(unique);
    return unique;
  }
}

/** The part of a graph that computes some values from others. */
export interface GraphPart {
  /** What it reads, in the order of first use; constants are not among them. */
  readonly inputs: readonly Value[];
  /** What it computes. */
  readonly outputs: readonly Value[];
  /** In an order in which they can run. */
  readonly nodes: readonly Node[];
}

/** The nodes that `outputs` need, up to values for which `isGiven` is true or that no node makes: its inputs. */
export function partOf(
  graph: Graph,
  outputs: readonly Value[],
  isGiven: (value: Value) => boolean = () => false,
): GraphPart {
  const needed = new Set(outputs), nodes: Node[] = [], made = new Set<Value>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => needed.has(value) && !isGiven(value))) continue;
    nodes.unshift(node);
    for (const value of node.outputs) made.add(value);
    for (const value of node.inputs) if (value !== undefined) needed.add(value);
  }
  // A node of two outputs of which one is given would make that one again: it is an input all the same.
  const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...outputs]);
  const inputs = [...read].filter((value) => value !== undefined && value.elements === undefined)
    .filter((value) => isGiven(value!) || !made.has(value!)) as Value[];
  return { inputs, outputs, nodes };
}

/** Number of elements of a shape without named dims. */
export function countElements(shape: readonly Dim[]): number {
  return numElements(shape.map(numberOf));
}

/**
 * The size of a dim.
 *
 * @throws {TypeError} If it is named: it is only known when the graph runs.
 */
export function numberOf(dim: Dim): number {
  if (typeof dim === "number") return dim;
  throw new TypeError(`Cannot use dim "${dim}" here: its size must be known when the graph is built`);
}

function typeOf(elements: Elements): ValueType {
  if (elements instanceof Float32Array) return "f32";
  if (elements instanceof Int32Array) return "i32";
  return elements instanceof BigInt64Array ? "i64" : "bool";
}
