import { assert, assertEquals, assertThrows } from "@std/assert";
import { onnx } from "../../../kernels/mod.ts";
import { gpt, gptFamily, loadModel } from "../../../models/mod.ts";
import { openSource } from "../../../data/mod.ts";
import { lowerDecoder } from "../../../export/decoder_graph.ts";
import { GraphStage } from "../../../train/stage/graph_stage.ts";
import { lowerStage } from "../../../train/stage/lower_stage.ts";
import { ParameterStore, REPLICATE } from "../../../strategies/mod.ts";
import { fakeGroup } from "../../strategies/support/fake_group.ts";
import { phantomBackend } from "../../support/device.ts";
import { tokenData } from "../../support/token_data.ts";

const SIZES = { layers: 2, heads: 2, embed: 8, context: 6, vocab: 13 };
const TOKENS = tokenData(new Uint16Array(100), { context: 6 });
const source = openSource(TOKENS, { order: "sequential", seed: 1, batch: 2 });

Deno.test("lowerStage() hands over what the stages before and after know, and keeps no moved copies", async () => {
  const parts = await loadModel(gpt(SIZES));
  const [first, last] = [[0, 2], [2, 4]].map(([start, end]) =>
    lowerStage({ parts, source, range: { start, end } }, 2)
  );
  assertEquals([first.input.type, first.result.shape, first.dInput], ["i32", [2, 6, 8], undefined]);
  assertEquals([last.input.shape, last.result.shape, last.dInput?.shape], [[2, 6, 8], [], [2, 6, 8]]);
  assertEquals([...last.parameters.keys()].slice(-3), ["ln_f.weight", "ln_f.bias", "wte.weight"]);
  for (const { value, gradient } of first.parameters.values()) assertEquals(gradient.shape, value.shape);
  const makers = new Map(
    first.forward.nodes.flatMap((node) => node.outputs.map((value) => [value, node.op])),
  );
  for (const value of first.saved) {
    assert(!["Reshape", "Transpose", "Split"].includes(makers.get(value)!), value.name);
  }
  for (const { inputs, outputs } of [first.forward, first.backward, last.forward, last.backward]) {
    assertEquals(new Set([...inputs, ...outputs]).size, inputs.length + outputs.length);
  }
});

Deno.test("lowerStage() and lowerDecoder() name what has no ONNX form", async () => {
  const mixture = { ...SIZES, experts: 4, topKExperts: 1, capacityFactor: 1 },
    parts = await loadModel(gpt(mixture));
  assertThrows(
    () => lowerStage({ parts, source, range: { start: 0, end: 4 } }, 2),
    TypeError,
    "as an ONNX graph",
  );
  const sizes = { ...mixture, layerNormEpsilon: 1e-5 };
  const tensors = { get: () => new Float32Array(1000) } as unknown as ReadonlyMap<string, Float32Array>;
  assertThrows(
    () => lowerDecoder(gptFamily(sizes), sizes, tensors, { kvCache: false }),
    TypeError,
    "as an ONNX graph",
  );
});

Deno.test("GraphStage plans its passes without memory or a runtime", async () => {
  const backend = phantomBackend(), parts = await loadModel(gpt(SIZES)), { layers: allLayers } = parts;
  const stored = { backend, group: fakeGroup(), zero: REPLICATE, seed: 1, allLayers } as const;
  const store = new ParameterStore({ ...stored, ownLayers: allLayers.slice(0, 2) });
  const range = { start: 0, end: 2 }, { heap } = backend;
  const stage = new GraphStage({ runtime: undefined, heap, store, parts, source, range });
  const before = heap.usedBytes().activations, pass = stage.pass(0, 2);
  assertEquals(stage.pass(0, 2), pass);
  assertEquals([pass.inputs?.shape, pass.sent?.values.length, pass.received], [[2, 6], 2 * 6 * 8, undefined]);
  assert(heap.usedBytes().activations > before);
  assertEquals([pass.tape.forward(), pass.tape.backward()], [undefined, undefined]);
  assertEquals(onnx.countElements([2, 6, 8]), pass.sent!.gradient.length);
});
