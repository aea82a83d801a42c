/** The layers of a model in a row, as a pipeline cuts them, against the model as a whole. */
import { assertEquals } from "@std/assert";
import { Gpt, gptLayers } from "../../models/mod.ts";
import { type Model, Scope, sumLoss, Tape } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const SIZES = { layers: 2, heads: 2, embed: 16, context: 8, vocab: 19 };

Deno.test("the layers of a GPT in a row are the GPT: the same parameters, the same bits", () => {
  const whole = makeBackend(), parts = makeBackend();
  const wholeScope = Scope.root(whole.heap, 3), partsScope = Scope.root(parts.heap, 3);
  const model: Model & Gpt = new Gpt(wholeScope, SIZES), factories = gptLayers(SIZES);
  const layers = factories.map((factory) => factory.build(partsScope));
  assertEquals(factories.map(({ name, type }) => `${name} ${type}`), [
    "embedding embedding",
    "h.0 block",
    "h.1 block",
    "head head",
  ]);
  const namesOf = (scope: Scope) => scope.parameters.map(({ name }) => name).sort();
  assertEquals(namesOf(partsScope), namesOf(wholeScope));
  const [first, second] = [whole, parts].map((backend) => new Tape({ backend, training: false }));
  const ids = [first, second].map((tape) => tape.constant("ids", [2, 8], "i32", (i) => (5 * i) % 19));
  const logits = model.logits(first, ids[0]);
  let x = ids[1];
  for (const layer of layers) x = layer.forward(second, x);
  first.forward();
  second.forward();
  assertEquals(parts.heap.f32(x.span).slice(), whole.heap.f32(logits.span).slice());
});

Deno.test("Model loss() is the cross-entropy of its logits", () => {
  const backend = makeBackend(), { heap } = backend, model: Model & Gpt = new Gpt(Scope.root(heap, 3), SIZES);
  const tape = new Tape({ backend, training: false });
  const ids = tape.constant("ids", [1, 4], "i32", (i) => i),
    targets = tape.constant("next", [1, 4], "i32", (i) => i + 1);
  const logits = model.logits(tape, ids), loss = model.loss(tape, ids, targets);
  tape.forward();
  const scores = heap.f32(logits.span);
  let expected = 0;
  for (let t = 0; t < 4; t++) {
    const row = scores.subarray(t * 19, (t + 1) * 19);
    expected += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[t + 1];
  }
  assertEquals(Math.abs(sumLoss(backend, loss) - expected) < 1e-5, true);
});
