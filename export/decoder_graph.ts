import { createBackend, onnx, phantomHeap } from "../kernels/mod.ts";
import type { ModelFamily, ModelSizes } from "../models/mod.ts";
import { attendHeads, HIDDEN_SCORE, Lowering, Scope, Tape } from "../nn/mod.ts";

/** A model that generates, as a graph of free batch and sequence sizes. */
export interface DecoderGraph {
  /** All of it. */
  readonly part: onnx.GraphPart;
  /** Names of its inputs and outputs in a file. */
  readonly names: ReadonlyMap<onnx.Value, string>;
  /** Its weights. */
  readonly weights: readonly onnx.Value[];
}

/** How a graph is made. */
export interface DecoderGraphOptions {
  /** Inputs and outputs for cached keys and values. */
  readonly kvCache: boolean;
  /** Inputs that say where tokens stand and which count, as batches of texts of unequal lengths need. */
  readonly hasPlaces?: boolean;
}

/** Names of the free dims. */
const BATCH = "batch", SEQUENCE = "sequence", PAST = "past", TOTAL = "past + sequence";

/**
 * Lowers a trained model.
 *
 * Inputs: `input_ids` i64 [batch, sequence], with places `attention_mask` i64 [batch, past + sequence] (0 hides a token)
 * and `position_ids` i64 [batch, sequence], and with a cache `past_key_values.N.key` and `.value` [batch, heads of keys,
 * past, width of a head], where past may be 0. Outputs: `logits` [batch, sequence, vocab], and with a cache
 * `present.N.key` and `.value`, which are the past of the next run. The names are those of Hugging Face's exporter.
 *
 * @throws {TypeError} If the model has experts.
 */
export function lowerDecoder(
  family: ModelFamily,
  config: unknown,
  tensors: ReadonlyMap<string, Float32Array>,
  { kvCache, hasPlaces = false }: DecoderGraphOptions,
): DecoderGraph {
  const graph = new onnx.Graph(), sizes = family.sizes(config), heap = phantomHeap();
  const ids = graph.input("input_ids", [BATCH, SEQUENCE], "i64"), weights: onnx.Value[] = [];
  const past = kvCache ? Array.from({ length: sizes.layers }, (_, i) => pastOf(graph, i, sizes)) : [];
  const places = placesOf(ids, past[0]?.[0], hasPlaces), present: onnx.Value[] = [];
  let layer = 0;
  const lowering = new Lowering(graph, {
    parameter: ({ name, shape }) => {
      const value = graph.constant(name, shape, tensors.get(name)!);
      weights.push(value);
      return value;
    },
    attend: ([q, k, v], window) => {
      const known = past[layer++], mask = places.maskOf(window);
      if (known === undefined) return attendHeads([q, k, v], mask);
      const keys = onnx.concat([known[0], onnx.transposeLast(k)], 2, TOTAL);
      const values = onnx.concat([known[1], v], 2, TOTAL);
      present.push(keys, values);
      return attendHeads([q, onnx.transposeLast(keys), values], mask);
    },
  });
  const tape = new Tape({ backend: createBackend("reference", heap), training: false });
  const scope = Scope.of({ heap, seed: 0 }), token = tape.input("ids", [1, 1], "i32");
  const positions = tape.positions = tape.input("positions", [1, 1], "i32");
  let x = token;
  for (const layer of family.layers(config)) x = layer.build(scope).forward(tape, x);
  lowering.bind(token, ids);
  lowering.bind(positions, places.row);
  tape.lower(lowering);
  const logits = lowering.valueOf(x), part = onnx.partOf(graph, [logits, ...present]);
  const inputs = [ids, ...places.inputs, ...past.flat()];
  return { part: { ...part, inputs }, names: namesOf({ logits, past: past.flat(), present }), weights };
}

function namesOf(
  { logits, past, present }: {
    logits: onnx.Value;
    past: readonly onnx.Value[];
    present: readonly onnx.Value[];
  },
): Map<onnx.Value, string> {
  const pairs = (values: readonly onnx.Value[], prefix: string) =>
    values.map((value, i) => [value, `${prefix}.${i >> 1}.${i % 2 === 0 ? "key" : "value"}`] as const);
  return new Map([[logits, "logits"], ...pairs(past, "past_key_values"), ...pairs(present, "present")]);
}

function pastOf(
  graph: onnx.Graph,
  layer: number,
  { heads, kvHeads = heads, embed, headDim = embed / heads }: ModelSizes,
): [onnx.Value, onnx.Value] {
  const shape = [BATCH, kvHeads, PAST, headDim];
  return [graph.input(`past key ${layer}`, shape), graph.input(`past value ${layer}`, shape)];
}

/** Where the tokens of a run stand, and what they see. */
interface Places {
  /** Inputs that say so. */
  readonly inputs: readonly onnx.Value[];
  /** Places of the tokens in their sequence: [batch, sequence], or [1, sequence]. */
  readonly row: onnx.Value;
  /** Added to scores: hides later tokens, those behind a window, and those that do not count. */
  maskOf(window: number | undefined): onnx.Value;
}

function placesOf(ids: onnx.Value, pastKey: onnx.Value | undefined, hasInputs: boolean): Places {
  const { graph } = ids, index = (i: number) => graph.constant("index", [], BigInt64Array.of(BigInt(i)));
  const steps = onnx.gather(onnx.shapeOf(ids), index(1)), zero = index(0);
  const first = pastKey === undefined ? zero : onnx.gather(onnx.shapeOf(pastKey), index(2));
  const end = pastKey === undefined ? steps : onnx.add(first, steps);
  const total = pastKey === undefined ? SEQUENCE : TOTAL, queries = onnx.range(first, end, SEQUENCE);
  const keys = onnx.reshape(onnx.range(zero, end, total), [1, -1]), rows = onnx.reshape(queries, [-1, 1]);
  const hide = (isSeen: onnx.Value) => onnx.where(isSeen, graph.scalar(0), graph.scalar(HIDDEN_SCORE));
  const causal = hide(onnx.compare("LessOrEqual", keys, rows)),
    masks = new Map<number | undefined, onnx.Value>();
  const within = (window: number | undefined) => {
    if (window === undefined) return causal;
    const oldest = onnx.sub(rows, index(window));
    return onnx.add(causal, hide(onnx.compare("Greater", keys, oldest)));
  };
  if (!hasInputs) {
    return {
      inputs: [],
      row: onnx.reshape(queries, [1, -1]),
      maskOf: (window) => known(masks, window, within),
    };
  }
  const mask = graph.input("attention_mask", [BATCH, total], "i64");
  const positions = graph.input("position_ids", [BATCH, SEQUENCE], "i64");
  const counted = hide(onnx.compare("Greater", onnx.reshape(mask, [0, 1, 1, -1]), zero));
  const both = (window: number | undefined) => onnx.add(counted, within(window));
  return { inputs: [mask, positions], row: positions, maskOf: (window) => known(masks, window, both) };
}

function known<K, V>(values: Map<K, V>, key: K, make: (key: K) => V): V {
  const value = values.get(key) ?? make(key);
  values.set(key, value);
  return value;
}
