import { assertEquals } from "@std/assert";
import { gpt } from "../../../models/mod.ts";
import { ParameterStore, REPLICATE } from "../../../strategies/mod.ts";
import { openSource } from "../../../data/mod.ts";
import { loadModel } from "../../../models/model_parts.ts";
import { Stage } from "../../../train/stage/stage.ts";
import { fakeGroup } from "../../strategies/support/fake_group.ts";
import { makeBackend } from "../../support/device.ts";
import { tokenData } from "../../support/token_data.ts";

const SIZES = { layers: 2, heads: 2, embed: 8, context: 6, vocab: 13 };
const TOKENS = Uint16Array.from({ length: 100 }, (_, i) => (i * 5) % 13);

async function makeStage(start: number, end: number) {
  const backend = makeBackend(), parts = await loadModel(gpt(SIZES)), { layers } = parts;
  const data = tokenData(TOKENS, { context: 6 });
  const source = openSource(data, { order: "sequential", seed: 1, batch: 2 });
  const stored = { backend, group: fakeGroup(), zero: REPLICATE, seed: 3, allLayers: layers } as const;
  const store = new ParameterStore({ ...stored, ownLayers: layers.slice(start, end) });
  return {
    backend,
    source,
    stage: new Stage({
      backend,
      parts,
      source,
      store,
      range: { start, end },
      deferWeights: false,
      recompute: "none",
    }),
  };
}

Deno.test("two stages that hand over compute the loss and gradients of one", async () => {
  const whole = await makeStage(0, 4), first = await makeStage(0, 2), last = await makeStage(2, 4);
  const passes = [whole, first, last].map(({ stage, source }) => {
    const pass = stage.pass(0, 2);
    stage.fill(pass, (i, views) => source.readTraining(0, i, i, views));
    return pass;
  });
  const [one, a, b] = passes, heapOf = ({ backend }: typeof whole) => backend.heap;
  one.tape.forward();
  one.tape.backward();
  a.tape.forward();
  heapOf(last).f32(b.received!.values).set(heapOf(first).f32(a.sent!.values));
  b.tape.forward();
  b.tape.backward();
  heapOf(first).f32(a.sent!.gradient).set(heapOf(last).f32(b.received!.gradient));
  a.tape.backward();
  assertEquals(heapOf(last).f32(b.loss!.rows.span), heapOf(whole).f32(one.loss!.rows.span));
  for (const part of [first, last]) {
    for (const { parameter, gradient } of part.stage.store.updatePieces()) {
      if (parameter.name === "wte.weight") continue; // Each stage has its own part of this sum.
      const same = whole.stage.store.updatePieces().find((piece) => piece.parameter.name === parameter.name)!;
      assertEquals(heapOf(part).f32(gradient), heapOf(whole).f32(same.gradient), parameter.name);
    }
  }
});

Deno.test("Stage records a pass once for each slot and size", async () => {
  const { stage } = await makeStage(0, 4);
  assertEquals(stage.pass(0, 2) === stage.pass(0, 2), true);
  assertEquals(stage.pass(0, 2) === stage.pass(1, 2), false);
  assertEquals(stage.pass(0, 1).size, 1);
});
