/**
 * Experts over the ranks of real workers against one device with the whole batch.
 *
 * Every row goes through the same operations wherever it is computed, so losses, choices and drops must have the same
 * bits; an expert of one group sees the rows of one device in their order, so the gradients of its weights, too. Other
 * gradients are sums of the same terms in another order: bound as in tensor_parallel_test.ts, as are all results when
 * tensor parallelism splits the sums inside of products.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { launch } from "../../../actors/mod.ts";
import { Gpt, type GptConfig, gptPlan } from "../../../models/mod.ts";
import { eachRun, numElements, Scope } from "../../../nn/mod.ts";
import {
  checkExpertParallel,
  checkPlan,
  ExpertParallel,
  expertsOf,
  isExpertParameter,
  isInMixture,
  Mesh,
} from "../../../strategies/mod.ts";
import { within } from "../../actors/support/world.ts";
import { EPS } from "../../conformance/backend_pair.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";
import { type ExpertCase, type ExpertResult, groupName, runExperts } from "../programs/expert_parallel.ts";

const WORLD = 4;

function expertCase(
  degrees: Partial<ExpertCase["degrees"]>,
  mixture: Partial<GptConfig>,
  rest: Partial<ExpertCase> = {},
): ExpertCase {
  const config = { layers: 2, heads: 2, embed: 16, context: 64, vocab: 37, experts: 4, ...mixture };
  const whole = { dp: 1, ep: 1, tp: 1, ...degrees }, { batch = 4, steps = 16 } = rest;
  const title = `${JSON.stringify(whole)} ${JSON.stringify(mixture)} ${batch} x ${steps} tokens${
    rest.deferWeights ? ", deferred" : ""
  }${rest.sequenceParallel ? ", sp" : ""}`;
  return { title, config, batch, steps, ...rest, degrees: whole };
}

const TIGHT = { topKExperts: 2, capacityFactor: 0.75 };

const CASES: ExpertCase[] = [
  expertCase({ ep: 2 }, {}),
  expertCase({ ep: 2 }, TIGHT, { batch: 2, steps: 11 }),
  expertCase({ ep: 2 }, { ...TIGHT, experts: 8 }, { steps: 32 }),
  expertCase({ ep: 2 }, { ...TIGHT, deadExperts: [1] }, { deferWeights: true }),
  expertCase({ ep: 4 }, { ...TIGHT, experts: 4 }),
  expertCase({ ep: 4 }, { experts: 8, deadExperts: [0, 4] }, { batch: 8 }),
  expertCase({ dp: 2, ep: 2 }, TIGHT),
  expertCase({ ep: 2, tp: 2 }, TIGHT),
  expertCase({ ep: 1, tp: 2 }, { experts: 3, topKExperts: 2 }),
  expertCase({ ep: 2, tp: 2 }, TIGHT, { sequenceParallel: true }),
  expertCase({ tp: 3 }, { experts: 3, heads: 3, embed: 24 }, { sequenceParallel: true, batch: 1, steps: 11 }),
  expertCase({ tp: 2 }, {}, { sequenceParallel: true, deferWeights: true }),
];

async function runCases(cases: readonly ExpertCase[]): Promise<ExpertResult[][]> {
  const groups = cases.flatMap(({ degrees }, i) => {
    const mesh = new Mesh(degrees);
    return (["ep", "tp"] as const).flatMap((axis) =>
      Array.from({ length: mesh.size }, (_, rank) => rank)
        .filter((rank) => mesh.coordinates(rank)[axis] === 0)
        .map((rank) => ({ name: groupName(i, axis), ranks: mesh.line(rank, axis) }))
    );
  });
  const world = launch({
    program: import.meta.resolve("../programs/expert_parallel.ts"),
    config: cases,
    topology: { worldSize: WORLD, groups },
    deviceMemoryBytes: 256 << 20,
  });
  const results = await within(world.done, world) as (ExpertResult | undefined)[][];
  return cases.map((_, i) => results.map((ofRank) => ofRank[i]).filter((result) => result !== undefined));
}

/** The gradients of the whole model: sums over ranks with data of their own, shards put together. */
function gradientsOf(results: readonly ExpertResult[], { degrees }: ExpertCase): Map<string, Float64Array> {
  const sums = new Map<string, Float64Array>(), mesh = new Mesh(degrees);
  results.forEach(({ parts }, rank) => {
    for (const { name, shape, shard, gradient } of parts) {
      if (shard === undefined && mesh.coordinates(rank).tp > 0) continue;
      const sum = sums.get(name) ?? new Float64Array(numElements(shape));
      sums.set(name, sum);
      eachRun(shape, shard, (local, global, length) => {
        for (let i = 0; i < length; i++) sum[global + i] += gradient[local + i];
      });
    }
  });
  return sums;
}

function join(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

function compare(test: ExpertCase, results: readonly ExpertResult[]): void {
  const { degrees, config, batch, steps } = test, mesh = new Mesh(degrees);
  const want = runExperts(makeBackend("wasm", 256 << 20), test, { first: 0, count: batch });
  const ofData = results.filter((_, rank) => mesh.coordinates(rank).tp === 0);
  const bound = EPS * Math.sqrt(8 * config.layers * Math.max(4 * config.embed, batch * steps));
  const check = (what: string, got: ArrayLike<number>, wanted: ArrayLike<number>, isExact: boolean) => {
    const largest = Math.max(...Array.from(wanted, Math.abs)), allowed = isExact ? 0 : bound * largest;
    assertEquals(got.length, wanted.length, what);
    for (let i = 0; i < wanted.length; i++) {
      assert(Math.abs(got[i] - wanted[i]) <= allowed, `${what}[${i}]: ${got[i]}, not ${wanted[i]}`);
    }
  };
  const isWhole = degrees.tp === 1;
  check("losses", join(ofData.map(({ losses }) => losses)), want.losses, isWhole);
  want.auxiliary.forEach((rows, layer) => {
    check("load loss", join(ofData.map(({ auxiliary }) => auxiliary[layer])), rows, isWhole);
  });
  want.loads.forEach((load, layer) => {
    const sum = (key: "kept" | "dropped") =>
      load[key].map((_, e) => ofData.reduce((total, { loads }) => total + loads[layer][key][e], 0));
    assertEquals({ kept: sum("kept"), dropped: sum("dropped") }, load);
  });
  const gradients = gradientsOf(results, test);
  assertEquals([...gradients.keys()].sort(), want.parts.map(({ name }) => name).sort());
  for (const { name, gradient } of want.parts) {
    check(name, gradients.get(name)!, gradient, isWhole && degrees.dp === 1 && isExpertParameter(name));
  }
}

Deno.test("experts over the ranks of workers give the losses, drops and gradients of one device", async (t) => {
  const results = await runCases(CASES);
  for (const [i, test] of CASES.entries()) {
    await t.step(test.title, () => compare(test, results[i]));
  }
  await t.step("tokens are dropped where capacity is tight, and dead experts get none", () => {
    const loads = results.map((ranks) => ranks.flatMap(({ loads }) => loads));
    const dropped = loads.map((all) => all.some((load) => load.dropped.some((n) => n > 0)));
    assertEquals(CASES.filter(({ config }) => config.capacityFactor === 0.75).length, 7);
    CASES.forEach(({ config }, i) => assert(config.capacityFactor !== 0.75 || dropped[i], `${i}`));
    for (const load of loads[5]) assertEquals([load.kept[0], load.kept[4]], [0, 0]);
  });
  await t.step("bytes moved are those of the formula", () => {
    for (const i of [0, 2, 4, 5]) {
      const { degrees: { ep }, config, batch, steps } = CASES[i],
        { experts = 0, topKExperts: k = 1 } = config;
      const unitTokens = steps / 8, units = batch / ep * 8;
      const capacity = Math.ceil((config.capacityFactor ?? 1.25) * k * unitTokens / experts);
      const exchange = (ep - 1) / ep * 4 * experts * units * Math.min(capacity, unitTokens) * config.embed;
      for (const { bytes } of results[i]) assertEquals(bytes, 4 * config.layers * exchange, CASES[i].title);
    }
  });
});

Deno.test("the plan of a GPT of experts fits its model", () => {
  const { config } = CASES[0], build = (scope: Scope) => new Gpt(scope, config), plan = gptPlan(config);
  checkPlan(plan, 2, build);
  const dense = gptPlan({ ...config, experts: 0 });
  assertThrows(() => checkPlan(dense, 2, build), RangeError, "h.*.mlp.c_fc by column");
  const inside = ["h.0.mlp.router", "h.1.mlp.experts.3.c_fc"], outside = ["h.0.mlp", "h.0.attn.c_attn"];
  for (const path of inside) assert(isInMixture(plan, path), path);
  for (const path of outside) assert(!isInMixture(plan, path), path);
});

Deno.test("expertsOf() deals experts out in turn and refuses an uneven share", () => {
  assertEquals(expertsOf(6, { size: 2, index: 1 }), [1, 3, 5]);
  assertEquals(expertsOf(4, { size: 4, index: 2 }), [2]);
  const text = "Cannot spread 4 experts over ep 3: the number of experts must be a multiple of ep";
  assertThrows(() => expertsOf(4, { size: 3, index: 0 }), RangeError, text);
});

Deno.test("checkExpertParallel() refuses what would send parts of different sizes", () => {
  const sizes = { experts: 8, ep: 4, dataRanks: 8, batch: 32, microBatches: 2 };
  checkExpertParallel(sizes);
  checkExpertParallel({ ...sizes, ep: 1, batch: 7 });
  assertThrows(() => checkExpertParallel({ ...sizes, experts: 6 }), RangeError, "6 experts over ep 4");
  const text =
    "with ep 4 every rank needs the same number of sequences, so the batch must be a multiple of 16";
  assertThrows(() => checkExpertParallel({ ...sizes, batch: 24 }), RangeError, text);
});

Deno.test("isExpertParameter() knows what one expert owns", () => {
  assert(isExpertParameter("h.0.mlp.experts.3.c_fc.weight"));
  assert(isExpertParameter("experts.12.up.bias"));
  assert(!isExpertParameter("h.0.mlp.router.weight"));
  assert(!isExpertParameter("h.0.my_experts.3.c_fc.weight"));
});

Deno.test("a model is built with the experts of its rank only, and others are refused", () => {
  const { heap } = phantomBackend(), sharding = new ExpertParallel(fakeGroup(2, 1), 4);
  const scope = Scope.root(heap, 1, sharding), hooks = sharding.hooks("mlp")!.experts!;
  assertEquals([hooks.held, sharding.held, scope.hooks?.input], [[1, 3], [1, 3], undefined]);
  assertEquals(new ExpertParallel(fakeGroup(), 4).hooks("mlp"), undefined);
});
