import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  allocateGradients,
  checkMixture,
  linear,
  type MixtureConfig,
  MoeFeedForward,
  normal,
  type Parameter,
  RandomStream,
  route,
  Scope,
  Tape,
} from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";
import { rootOf } from "./support/weighted_sum.ts";
import { mixtureFloat64 } from "./support/moe_float64.ts";

const EMBED = 6;

interface Setting extends MixtureConfig {
  batch?: number;
  steps?: number;
  seed?: number;
  unitsPerRow?: number;
}

/** A layer on a tape whose x and residual are parameters; its weights are large enough to make clear choices. */
function setUp(setting: Setting) {
  const { batch = 3, steps = 16, seed = 1 } = setting, backend = makeBackend(), { heap } = backend;
  const scope = Scope.root(heap, 7),
    layer = new MoeFeedForward(scope.child("mlp"), {
      ...{ embed: EMBED, residualDeviation: 0.02 },
      ...setting,
    });
  for (const { name, span } of scope.parameters) {
    const stream = new RandomStream(3, name);
    heap.f32(span).forEach((_, i, all) => all[i] = 0.6 * stream.normal(i));
  }
  const inputs = ["x", "residual"].map((name) => scope.parameter(name, [batch, steps, EMBED], normal(1)));
  for (const { name, span } of inputs) {
    const stream = new RandomStream(seed, name);
    heap.f32(span).forEach((_, i, all) => all[i] = stream.normal(i));
  }
  const tape = new Tape({ backend, training: true, placement: { unitsPerRow: setting.unitsPerRow } }),
    [x, residual] = inputs;
  const out = layer.forward(tape, x, residual);
  const get = (name: string) => scope.parameters.find((p) => p.name === name)!;
  const weight = (name: string) => heap.f32(get(`mlp.${name}`).span);
  return { backend, heap, scope, tape, x, residual, out, weight, get, setting: { batch, steps, ...setting } };
}

type SetUp = ReturnType<typeof setUp>;

/** Appends `sum of weights * out` as the root, and runs both passes. */
function train({ backend, heap, scope, tape, out }: SetUp, weights: Float32Array): void {
  backend.fill(0, allocateGradients(heap, scope.parameters));
  rootOf(tape, out, weights);
  tape.forward();
  tape.backward();
}

function noiseOf(length: number, seed = 9): Float32Array {
  const stream = new RandomStream(seed, "noise");
  return Float32Array.from({ length }, (_, i) => stream.normal(i));
}

function expected({ heap, x, weight, setting }: SetUp) {
  const values = heap.f32(x.span), { batch, steps } = setting;
  const row = (
    b: number,
    t: number,
  ) => [...values.subarray((b * steps + t) * EMBED, (b * steps + t + 1) * EMBED)];
  const sequences = Array.from(
    { length: batch },
    (_, b) => Array.from({ length: steps }, (_, t) => row(b, t)),
  );
  return mixtureFloat64({
    ...{ embed: EMBED, experts: setting.experts, choices: setting.topKExperts ?? 1, weight },
    ...{ capacityFactor: setting.capacityFactor ?? 1.25, coefficient: setting.auxLossCoefficient ?? 0.01 },
    dead: setting.deadExperts ?? [],
  }, sequences);
}

const SETTINGS: Setting[] = [
  { experts: 4 },
  { experts: 4, topKExperts: 2, capacityFactor: 1 },
  { experts: 8, steps: 32, capacityFactor: 2 },
  { experts: 8, steps: 32, topKExperts: 2 },
  { experts: 4, steps: 11, topKExperts: 2, capacityFactor: 0.8 },
  { experts: 4, steps: 8, topKExperts: 2 },
  { experts: 3, steps: 24, topKExperts: 3, capacityFactor: 0.9 },
  { experts: 4, topKExperts: 2, capacityFactor: 4, deadExperts: [1] },
  { experts: 4, steps: 12, deadExperts: [0, 3] },
  { experts: 1, steps: 5, batch: 1 },
];

for (const setting of SETTINGS) {
  Deno.test(`MoeFeedForward computes what its definition says: ${JSON.stringify(setting)}`, () => {
    const made = setUp(setting), { heap, tape, residual, out } = made, want = expected(made);
    tape.forward();
    const got = heap.f32(out.span), add = heap.f32(residual.span);
    want.out.flat().forEach((value, i) => assert(Math.abs(got[i] - add[i] - value) < 1e-5, `element ${i}`));
    const [auxiliary] = tape.auxiliary;
    assertEquals(auxiliary.load(), { kept: want.kept, dropped: want.dropped });
    assertEquals(auxiliary.name, "mlp.router");
    const loss = made.backend.sum(auxiliary.rows.span);
    assert(Math.abs(loss - want.loss) < 1e-5 * (1 + want.loss), `${loss}, not ${want.loss}`);
  });
}

for (
  const setting of [
    { experts: 4, batch: 1, topKExperts: 1, capacityFactor: 1, auxLossCoefficient: 0.5 },
    { experts: 4, batch: 1, topKExperts: 2, capacityFactor: 0.9, auxLossCoefficient: 0.5, steps: 11 },
    { experts: 4, batch: 1, topKExperts: 2, capacityFactor: 2, deadExperts: [2], auxLossCoefficient: 0.5 },
  ]
) {
  Deno.test(`MoeFeedForward has the gradient of its differences: ${JSON.stringify(setting)}`, () =>
    checkDifferences(setUp(setting)));
}

/** Central differences of the weighted sum and the load loss; where a step changes a choice there is no derivative. */
function checkDifferences(made: SetUp): void {
  const { heap, backend, scope, tape, out, x, get, setting } = made, step = 2 ** -8, lossScale = 0.7;
  const { topKExperts: choices = 1, capacityFactor = 1.25, deadExperts = [] } = setting;
  const options = { name: "probe", choices, capacityFactor, auxLossCoefficient: 0, deadExperts };
  // The same choices again, as those of the layer cannot be seen.
  const { slots } = route(tape, linear(tape, x, get("mlp.router.weight")), options);
  const weights = noiseOf(out.span.length);
  tape.lossScale = lossScale;
  train(made, weights);
  const plan = () => JSON.stringify([tape.auxiliary[0].load(), [...heap.i32(slots)]]), start = plan();
  const value = () => {
    tape.forward();
    const sum = heap.f32(out.span).reduce((total, v, i) => total + v * weights[i], 0);
    return sum + lossScale * backend.sum(tape.auxiliary[0].rows.span);
  };
  let numSkipped = 0, numChecked = 0;
  for (const parameter of scope.parameters) {
    const gradient = heap.f32(parameter.gradient).slice();
    for (let i = 0; i < gradient.length; i++) {
      const values = heap.f32(parameter.span), before = values[i];
      values[i] = before + step;
      const above = value();
      let isSmooth = plan() === start;
      values[i] = before - step;
      const numeric = (above - value()) / (2 * step), error = Math.abs(gradient[i] - numeric);
      isSmooth &&= plan() === start;
      values[i] = before;
      if (isSmooth) numChecked++;
      else numSkipped++;
      const what = `${parameter.name}[${i}]: backward gives ${gradient[i]}, differences ${numeric}`;
      assert(!isSmooth || error < 2e-3 * (1 + Math.abs(numeric)), what);
    }
  }
  assert(numSkipped < 0.1 * numChecked, `${numSkipped} of ${numChecked} were not smooth`);
}

Deno.test("tokens over the capacity of an expert are dropped in order, counted, and pass by", () => {
  const made = setUp({ experts: 4, capacityFactor: 1.5, batch: 2, steps: 32 }),
    { heap, tape, x, residual, out } = made;
  // All tokens like expert 2 best: a unit has 4 of them, ceil(1.5 * 4 / 4) = 2 slots.
  heap.f32(x.span).fill(1);
  made.weight("router.weight").forEach((_, i, all) => all[i] = i % 4 === 2 ? 1 : 0);
  train(made, noiseOf(out.span.length));
  assertEquals(tape.auxiliary[0].load(), { kept: [0, 0, 32, 0], dropped: [0, 0, 32, 0] });
  const got = heap.f32(out.span), passed = heap.f32(residual.span);
  for (let token = 0; token < 64; token++) {
    const row = [got, passed].map((all) => all.slice(token * EMBED, (token + 1) * EMBED).join());
    assertEquals(row[0] === row[1], token % 4 >= 2, `token ${token}`);
  }
});

Deno.test("experts without tokens have zero gradients, and the rest is finite", () => {
  const made = setUp({ experts: 8, capacityFactor: 8, batch: 1, steps: 8 });
  made.weight("router.weight").forEach((_, i, all) => all[i] = i % 8 === 5 ? 0 : -1);
  made.heap.f32(made.x.span).forEach((_, i, all) => all[i] = 1 + i / 100);
  train(made, noiseOf(made.out.span.length));
  assertEquals(made.tape.auxiliary[0].load().kept, [0, 0, 0, 0, 0, 8, 0, 0]);
  for (const { name, gradient } of made.scope.parameters) {
    const values = made.heap.f32(gradient), expert = /experts\.(\d)/.exec(name)?.[1];
    assert(values.every(Number.isFinite), name);
    if (expert !== undefined) assertEquals(values.some((value) => value !== 0), expert === "5", name);
  }
});

Deno.test("a dead expert gets no tokens and no gradient; its tokens go to their next best", () => {
  const alive = setUp({ experts: 4, capacityFactor: 4 }),
    dead = setUp({ experts: 4, capacityFactor: 4, deadExperts: [2] });
  alive.tape.forward();
  train(dead, noiseOf(dead.out.span.length));
  assert(alive.tape.auxiliary[0].load().kept[2] > 0);
  const { kept, dropped } = dead.tape.auxiliary[0].load();
  assertEquals([kept[2], dropped], [0, [0, 0, 0, 0]]);
  assertEquals(kept.reduce((a, b) => a + b), 48);
  assert(dead.heap.f32(dead.get("mlp.experts.2.c_fc.weight").gradient).every((value) => value === 0));
  const router = dead.heap.f32(dead.get("mlp.router.weight").gradient);
  router.forEach((value, i) => assertEquals(value === 0, i % 4 === 2, `router gradient ${i}`));
});

for (const steps of [16, 11]) {
  Deno.test(`the batch may be cut anywhere: rows of ${steps} tokens keep their bits`, () => {
    const setting = { experts: 4, topKExperts: 2, capacityFactor: 0.9, steps };
    const whole = setUp({ ...setting, batch: 4 }), size = steps * EMBED, noise = noiseOf(4 * size);
    whole.tape.lossScale = 0.01;
    train(whole, noise);
    const total = { kept: [0, 0, 0, 0], dropped: [0, 0, 0, 0] };
    for (let b = 0; b < 4; b++) {
      const part = setUp({ ...setting, batch: 1 }), at = b * size;
      part.heap.f32(part.x.span).set(whole.heap.f32(whole.x.span).subarray(at, at + size));
      part.heap.f32(part.residual.span).set(whole.heap.f32(whole.residual.span).subarray(at, at + size));
      part.tape.lossScale = 0.01;
      train(part, noise.subarray(at, at + size));
      const spans = [(made: SetUp) => made.out.span, (made: SetUp) => (made.x as Parameter).gradient];
      for (const span of spans) {
        assertEquals(part.heap.f32(span(part)), whole.heap.f32(span(whole)).slice(at, at + size));
      }
      const load = part.tape.auxiliary[0].load();
      for (const key of ["kept", "dropped"] as const) load[key].forEach((n, e) => total[key][e] += n);
    }
    assertEquals(whole.tape.auxiliary[0].load(), total);
    assert(total.dropped.some((n) => n > 0));
  });
}

Deno.test("a sequence may be spread: eighths on several devices keep their bits and their choices", () => {
  const setting = { experts: 4, topKExperts: 2, capacityFactor: 0.75, batch: 1 };
  const whole = setUp({ ...setting, steps: 32 }), size = 4 * EMBED, noise = noiseOf(32 * EMBED);
  train(whole, noise);
  const dropped = [0, 0, 0, 0];
  for (const eighths of [[0, 7, 1, 6], [2, 5, 3, 4]]) {
    const part = setUp({ ...setting, steps: 16, unitsPerRow: 4 });
    const pick = (all: Float32Array) => {
      return Float32Array.from(eighths.flatMap((i) => [...all.subarray(i * size, (i + 1) * size)]));
    };
    for (const key of ["x", "residual"] as const) {
      part.heap.f32(part[key].span).set(pick(whole.heap.f32(whole[key].span)));
    }
    train(part, pick(noise));
    for (const span of [(made: SetUp) => made.out.span, (made: SetUp) => (made.x as Parameter).gradient]) {
      assertEquals(part.heap.f32(span(part)), pick(whole.heap.f32(span(whole))));
    }
    part.tape.auxiliary[0].load().dropped.forEach((n, e) => dropped[e] += n);
  }
  assertEquals(dropped, whole.tape.auxiliary[0].load().dropped);
  assert(dropped.some((n) => n > 0));
});

Deno.test("checkMixture() refuses what makes no sense, by name", () => {
  const cases: [MixtureConfig, string][] = [
    [{ experts: 2.5 }, "Cannot mix 2.5 experts: experts must be a whole number from 1"],
    [{ experts: 4, topKExperts: 0 }, "topKExperts must be a whole number from 1"],
    [{ experts: 4, topKExperts: 5 }, "Cannot mix 4 experts: a token goes to 5 of them, and 4 live"],
    [{ experts: 4, topKExperts: 2, deadExperts: [0, 1, 3, 3] }, "a token goes to 2 of them, and 1 live"],
    [{ experts: 4, deadExperts: [4] }, "there is no expert 4 that could be dead"],
    [{ experts: 4, capacityFactor: 0 }, "capacityFactor 0 must be above 0"],
    [{ experts: 4, auxLossCoefficient: -1 }, "auxLossCoefficient -1 must not be negative"],
  ];
  for (const [config, text] of cases) assertThrows(() => checkMixture(config), RangeError, text);
  checkMixture({ experts: 4, topKExperts: 2, deadExperts: [0, 3] });
});
