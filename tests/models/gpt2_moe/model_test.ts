import { assert, assertEquals, assertThrows } from "@std/assert";
import { Gpt, type GptConfig, gptLayers } from "../../../models/mod.ts";
import {
  AdamW,
  allocateGradients,
  crossEntropy,
  GradientArena,
  type Recompute,
  recomputedLayer,
  Scope,
  SegmentMemory,
  sumLoss,
  Tape,
} from "../../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";

const CONFIG: GptConfig = {
  layers: 2,
  heads: 2,
  embed: 16,
  context: 16,
  vocab: 32,
  experts: 4,
  topKExperts: 2,
};

Deno.test("a GPT of experts has a router and experts where the feed-forward layer was", () => {
  const scope = Scope.root(phantomBackend().heap, 1);
  new Gpt(scope, CONFIG);
  const shapes = new Map(scope.parameters.map(({ name, shape }) => [name, shape.join()]));
  assertEquals(shapes.get("h.1.mlp.router.weight"), "16,4");
  assertEquals(shapes.get("h.1.mlp.experts.3.c_fc.weight"), "16,64");
  assertEquals(shapes.get("h.1.mlp.experts.3.c_proj.bias"), "16");
  assertEquals(shapes.has("h.1.mlp.c_fc.weight"), false);
  const layered = Scope.root(phantomBackend().heap, 1);
  for (const factory of gptLayers(CONFIG)) factory.build(layered);
  const names = (list: readonly { name: string }[]) => list.map(({ name }) => name).sort();
  assertEquals(names(layered.parameters), names(scope.parameters));
});

Deno.test("a GPT without experts is the dense one", () => {
  const names = (config: GptConfig) => {
    const scope = Scope.root(phantomBackend().heap, 1);
    new Gpt(scope, config);
    return scope.parameters.map(({ name }) => name);
  };
  const { experts: _, topKExperts: __, ...dense } = CONFIG;
  assertEquals(names({ ...CONFIG, experts: 0 }), names(dense));
  assert(names(dense).includes("h.1.mlp.c_fc.weight"));
});

Deno.test("a mixture that makes no sense is refused before anything is built", () => {
  assertThrows(() => gptLayers({ ...CONFIG, topKExperts: 5 }), RangeError, "Cannot mix 4 experts");
});

for (const topKExperts of [1, 2]) {
  Deno.test(`a GPT of experts learns, top ${topKExperts}, and its load loss stays near even`, () => {
    const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 1);
    const model = new Gpt(scope, { ...CONFIG, topKExperts }), tape = new Tape({ backend, training: true });
    const [inputs, targets] = ["inputs", "targets"].map((name) => tape.input(name, [4, 16], "i32"));
    const loss = model.loss(tape, inputs, targets), gradients = allocateGradients(heap, scope.parameters);
    const optimizer = new AdamW(backend, scope.parameters, {
      ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 },
    });
    heap.i32(inputs.span).forEach((_, i, all) => all[i] = i * i % 13);
    heap.i32(targets.span).forEach((_, i, all) => all[i] = (i + 1) ** 2 % 13);
    const losses: number[] = [];
    for (let step = 1; step <= 30; step++) {
      backend.fill(0, gradients);
      tape.forward();
      tape.backward();
      optimizer.update(step, 1e-2, 1);
      losses.push(sumLoss(backend, loss) / 64);
    }
    assert(losses[0] > 3.4 && losses.at(-1)! < 1, `${losses}`);
    assertEquals(tape.auxiliary.map(({ name }) => name), ["h.0.mlp.router", "h.1.mlp.router"]);
    for (const { rows, load } of tape.auxiliary) {
      const { kept, dropped } = load();
      assertEquals([...kept, ...dropped].reduce((a, b) => a + b), 64 * topKExperts);
      const mean = backend.sum(rows.span) / 64;
      assert(mean > 0.005 && mean < 0.04, `${mean}`);
    }
  });
}

for (const mode of ["selective", "full"] as const) {
  Deno.test(`experts that are recomputed (${mode}) give the same bits and counts`, () => {
    const [kept, again] = [step("none"), step(mode)];
    assertEquals(again, kept);
    assertEquals(kept.loads.length, 2);
    assert(JSON.stringify(kept.loads[0]) !== JSON.stringify(kept.loads[1]));
  });
}

function step(mode: Recompute) {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 1);
  const config = { ...CONFIG, capacityFactor: 0.75, deadExperts: [1] }, memory = new SegmentMemory(heap);
  const built = gptLayers(config).map((factory) => recomputedLayer(factory.name, factory.build(scope)));
  const gradients = allocateGradients(heap, scope.parameters), arena = new GradientArena(heap);
  const makeInner = () => {
    memory.begin();
    return new Tape({ backend, training: true, arena, allocate: memory.allocate.bind(memory) });
  };
  const tape = new Tape({ backend, training: true, recompute: { mode, makeInner } });
  let x = tape.constant("ids", [3, 16], "i32", (i) => (5 * i * i) % 31);
  for (const layer of built) x = layer.forward(tape, x);
  const loss = crossEntropy(tape, x, tape.constant("targets", [3, 16], "i32", (i) => (7 * i) % 32));
  for (let run = 0; run < 2; run++) {
    backend.fill(0, gradients);
    tape.forward();
    tape.backward();
  }
  return {
    rows: heap.f32(loss.rows.span).slice(),
    gradients: heap.f32(gradients).slice(),
    loads: tape.auxiliary.map((auxiliary) => auxiliary.load()),
    auxiliary: tape.auxiliary.map(({ rows }) => heap.f32(rows.span).slice()),
  };
}

Deno.test("a GPT of experts drops nothing where each token is a unit of its own: it gives the logits of a pass with room for all", () => {
  const backend = makeBackend(), { heap } = backend, ids = Array.from({ length: 16 }, (_, i) => (7 * i) % 5);
  const build = (capacityFactor: number) => new Gpt(Scope.root(heap, 1), { ...CONFIG, capacityFactor });
  const pass = (capacityFactor: number, unitsPerRow?: number) => {
    const tape = new Tape({ backend, training: false, placement: { unitsPerRow } });
    const inputs = tape.input("ids", [1, 16], "i32"), logits = build(capacityFactor).logits(tape, inputs);
    heap.i32(inputs.span).set(ids);
    tape.forward();
    const dropped = tape.auxiliary.flatMap(({ load }) => load().dropped).reduce((a, b) => a + b, 0);
    return { logits: heap.f32(logits.span), dropped };
  };
  const roomy = pass(4), tight = pass(0.5), alone = pass(0.5, 16);
  assert(roomy.dropped === 0 && tight.dropped > 0, `${roomy.dropped}, ${tight.dropped}`);
  assertEquals(alone.dropped, 0);
  alone.logits.forEach((value, i) => assert(Math.abs(value - roomy.logits[i]) < 1e-5, `${i}`));
});
