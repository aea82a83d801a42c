import { createBackend, onnx, phantomHeap } from "../kernels/mod.ts";
import type { ModelFamily } from "../models/mod.ts";
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

/** Names of the free dims. */
const BATCH = "batch", SEQUENCE = "sequence", PAST = "past", TOTAL = "past + sequence";

/**
 * Lowers a trained model.
 *
 * Inputs: `input_ids` i64 [batch, sequence], and with a cache `past_key_values.N.key` and `.value`
 * [batch, heads, past, width of a head], where past may be 0. Outputs: `logits` [batch, sequence, vocab], and with a
 * cache `present.N.key` and `.value`, which are the past of the next run. The names are those of Hugging Face's
 * exporter.
 *
 * @throws {TypeError} If the model has experts.
 */
export function lowerDecoder(
  family: ModelFamily,
  config: unknown,
  tensors: ReadonlyMap<string, Float32Array>,
  options: { readonly kvCache: boolean },
): DecoderGraph {
  const graph = new onnx.Graph(), { layers, heads, embed } = family.sizes(config), heap = phantomHeap();
  const ids = graph.input("input_ids", [BATCH, SEQUENCE], "i64"), weights: onnx.Value[] = [];
  const past = Array.from(
    { length: options.kvCache ? layers : 0 },
    (_, i) => pastOf(graph, i, [heads, embed / heads]),
  );
  const positions = positionsOf(ids, past[0]?.[0]), present: onnx.Value[] = [];
  let layer = 0;
  const lowering = new Lowering(graph, {
    parameter: ({ name, shape }) => {
      const value = graph.constant(name, shape, tensors.get(name)!);
      weights.push(value);
      return value;
    },
    attend: ([q, k, v]) => {
      const known = past[layer++];
      if (known === undefined) return attendHeads([q, k, v], positions.mask);
      const keys = onnx.concat([known[0], onnx.transposeLast(k)], 2, TOTAL);
      const values = onnx.concat([known[1], v], 2, TOTAL);
      present.push(keys, values);
      return attendHeads([q, onnx.transposeLast(keys), values], positions.mask);
    },
  });
  const tape = new Tape({ backend: createBackend("reference", heap), training: false });
  const decoder = family.decoder(Scope.of({ heap, seed: 0 }), config).decoder(tape);
  lowering.bind(decoder.id, ids);
  lowering.bind(decoder.position, positions.row);
  tape.lower(lowering);
  const logits = lowering.valueOf(decoder.logits);
  const part = onnx.partOf(graph, [logits, ...present]);
  const pairs = (values: readonly onnx.Value[], prefix: string) =>
    values.map((value, i) => [value, `${prefix}.${i >> 1}.${i % 2 === 0 ? "key" : "value"}`] as const);
  const names = new Map([
    [logits, "logits"],
    ...pairs(past.flat(), "past_key_values"),
    ...pairs(present, "present"),
  ]);
  const inputs = [ids, ...past.flat()];
  return { part: { ...part, inputs }, names, weights };
}

function pastOf(
  graph: onnx.Graph,
  layer: number,
  [heads, headDim]: readonly number[],
): [onnx.Value, onnx.Value] {
  const shape = [BATCH, heads, PAST, headDim];
  return [graph.input(`past key ${layer}`, shape), graph.input(`past value ${layer}`, shape)];
}

/**
 * Places of the tokens in their sequence [1, sequence], and what hides later ones from them [sequence, past +
 * sequence].
 */
function positionsOf(
  ids: onnx.Value,
  pastKey: onnx.Value | undefined,
): { row: onnx.Value; mask: onnx.Value } {
  const { graph } = ids, index = (i: number) => graph.constant("index", [], BigInt64Array.of(BigInt(i)));
  const steps = onnx.gather(onnx.shapeOf(ids), index(1)), zero = index(0);
  const first = pastKey === undefined ? zero : onnx.gather(onnx.shapeOf(pastKey), index(2));
  const end = pastKey === undefined ? steps : onnx.add(first, steps);
  const queries = onnx.range(first, end, SEQUENCE),
    keys = onnx.range(zero, end, pastKey === undefined ? SEQUENCE : TOTAL);
  const isSeen = onnx.compare("LessOrEqual", onnx.reshape(keys, [1, -1]), onnx.reshape(queries, [-1, 1]));
  return {
    row: onnx.reshape(queries, [1, -1]),
    mask: onnx.where(isSeen, graph.scalar(0), graph.scalar(HIDDEN_SCORE)),
  };
}
