import { assertEquals, assertRejects } from "@std/assert";
import { gpt } from "../../models/mod.ts";
import { Tape } from "../../nn/mod.ts";
import { loadModel, shapesOf } from "../../models/model_parts.ts";
import { traceShapes } from "../../train/stage/trace_shapes.ts";
import { openSource } from "../../data/mod.ts";
import { phantomBackend } from "../support/device.ts";
import { tokenData } from "../support/token_data.ts";

const SIZES = { layers: 2, heads: 2, embed: 8, context: 6, vocab: 13 };
const ORDER = { order: "sequential", seed: 1, batch: 2 } as const;
const TOKENS = tokenData(new Uint16Array(100), { context: 6 });

Deno.test("loadModel() gives the layers of a GPT, and their shapes without memory", async () => {
  const parts = await loadModel(gpt(SIZES)), source = openSource(TOKENS, ORDER);
  assertEquals(parts.layers.map(({ name }) => name), ["embedding", "h.0", "h.1", "head"]);
  assertEquals(traceShapes(parts, source, 3, undefined), [[3, 6, 8], [3, 6, 8], [3, 6, 8], [3, 6, 13]]);
  assertEquals(shapesOf(parts.layers).get("h.1.mlp.c_fc.weight"), [8, 32]);
});

Deno.test("loadModel() takes a model that is not made of layers as one layer", async () => {
  const module = import.meta.resolve("../../examples/04_own_model.ts");
  const parts = await loadModel({ module, config: { hidden: 3 } });
  assertEquals([...shapesOf(parts.layers).keys()], [
    "first.weight",
    "first.bias",
    "second.weight",
    "second.bias",
  ]);
  const tape = new Tape({ backend: phantomBackend(), training: true });
  const { Scope } = await import("../../nn/mod.ts"), scope = Scope.root(tape.heap, 1);
  parts.setTargets(tape.input("targets", [4], "i32"));
  const out = parts.layers[0].build(scope).forward(tape, tape.input("images", [4, 784]));
  assertEquals(parts.lossOf(tape, out).rows.shape, [4]);
});

Deno.test("loadModel() refuses a module that exports no model, or a part of one beside it", async () => {
  const refused = (code: string, message: string) =>
    assertRejects(
      () => loadModel({ module: `data:text/javascript,${code}`, config: {} }),
      TypeError,
      message,
    );
  await refused("export default 3", "its default export must be a function that builds a model");
  await refused("export const layers = 1", "its default export must be a function that builds a model");
  await refused("export default () => 1; export const plan = () => 1", "export default { layers, plan }");
  const { layers, plan } = await loadModel({
    module: "data:text/javascript,export default { layers: () => [] }",
    config: {},
  });
  assertEquals([layers, plan], [[], {}]);
});
