/** The suite at tiny sizes, with those contestants that are on every machine or only found. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  allReduceTasks,
  compareAllReduce,
  openAllReduceLineup,
} from "../../bench/collectives/collectives_peers.ts";
import { benchMatmul } from "../../bench/matmul/matmul.ts";
import { compareMatmul, openMatmulLineup } from "../../bench/matmul/matmul_peers.ts";
import { GPT_SHAPES, gptProducts, operationsOf } from "../../bench/matmul/matmul_shapes.ts";
import { AbsentPeer, closeAll, openAll } from "../../bench/peer.ts";
import { measureInTurn } from "../../bench/rounds.ts";
import { compareLayouts } from "../../bench/scaling.ts";
import { openServed } from "../../bench/served_process.ts";
import { compareSteps, openStepLineup } from "../../bench/step/step_peers.ts";
import { checkLosses } from "../../bench/step/step_problem.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SHAPES = [{ m: 9, n: 7, k: 5 }, { m: 9, n: 7, k: 5, transposeA: true }];
const MODEL = { layers: 1, heads: 2, embed: 8, context: 8, batch: 2, vocab: 256 };

function served(code: string) {
  return openServed<unknown, { ms: number[] }>({
    name: "Peer",
    command: Deno.execPath(),
    args: ["eval", code],
  });
}

Deno.test("openAll() names who is absent, with the reason and what to do", async () => {
  const absent = { name: "Peer", open: () => Promise.reject(new AbsentPeer("it is not here", "install it")) };
  const { contestants, absent: lines } = await openAll([absent]);
  assertEquals([contestants.length, lines], [0, ["Peer is not measured: it is not here; install it"]]);
});

Deno.test("openAll() passes on what is no absence", async () => {
  const broken = { name: "ours", open: () => Promise.reject(new Error("broken")) };
  await assertRejects(() => openAll([broken]), Error, "broken");
});

Deno.test("openServed() tells absence, failure and an early end apart", async () => {
  await assertRejects(() => served(`console.log('{"absent":["why","what to do"]}')`), AbsentPeer, "why");
  await assertRejects(() => served(`console.log('{"error":"no"}')`), Error, "Peer failed: no");
  await assertRejects(() => served(`console.error("at the end")`), Error, "without an answer: at the end");
});

Deno.test("measureInTurn() lets the contestants take turns and takes medians", async () => {
  const order: string[] = [];
  const contestant = (name: string) => {
    const round = (task: number) => Promise.resolve({ ms: [task + order.push(name)] });
    return { name, isOurs: true, round, close: () => Promise.resolve() };
  };
  const { ms, first } = await measureInTurn([contestant("a"), contestant("b")], 10, 3);
  assertEquals(order, ["a", "b", "a", "b", "a", "b"]);
  assertEquals([ms.get("a"), ms.get("b"), first.get("b")], [13, 14, { ms: [12] }]);
});

Deno.test("gptProducts() are the 15 products of a step's linear layers, equal in work forward and backward", () => {
  for (const shape of GPT_SHAPES) {
    const products = gptProducts(shape);
    assertEquals(products.length, 15);
    for (let i = 0; i < products.length; i += 3) {
      const work = products.slice(i, i + 3).map(operationsOf);
      assertEquals(work, Array(3).fill(work[0]));
    }
  }
});

Deno.test("bench matmul measures alone and with contestants that agree", async () => {
  const alone = await Array.fromAsync(benchMatmul(SHAPES));
  assert(alone.length === SHAPES.length && alone.every(({ gflops }) => gflops > 0));
  const lineup = await openMatmulLineup({ hasPeers: false });
  try {
    const rows = await Array.fromAsync(compareMatmul(lineup, SHAPES, { rounds: 1 }));
    assertEquals(rows.map(({ ms }) => [...ms.keys()]), SHAPES.map(() => ["fast", "plain"]));
  } finally {
    await closeAll(lineup.contestants);
  }
});

Deno.test("bench collectives measures ours, and OpenMPI where it is", async () => {
  const lineup = await openAllReduceLineup(2), tasks = allReduceTasks([64, 4096], 1);
  const rows = await compareAllReduce(lineup, tasks.map((task) => ({ ...task, count: 2 })), { rounds: 1 });
  assertEquals(rows.map(({ label }) => label), ["64 B", "4.0 KiB"]);
  for (const { ms } of rows) assertEquals(ms.size + lineup.absent.length, 2);
  for (const line of lineup.absent) assertMatch(line, /^OpenMPI is not measured: .*; install OpenMPI/);
});

Deno.test("allReduceTasks() does fewer operations of large buffers", () => {
  assertEquals(allReduceTasks([1024, 2 ** 22, 2 ** 26], 1).map(({ count }) => count), [500, 16, 1]);
});

Deno.test("bench step measures contestants that have the same losses", async () => {
  await withTempDir(async (folder) => {
    const lineup = await openStepLineup(MODEL, { folder, devices: 2, hasPeers: false });
    try {
      const { ms } = await compareSteps(lineup, MODEL, { task: { warmUps: 1, steps: 2 }, rounds: 1 });
      assertEquals([...ms.keys()], ["fast", "plain"]);
    } finally {
      await closeAll(lineup.contestants);
    }
  });
});

Deno.test("bench step compares layouts by the time of a sequence", async () => {
  const runs = [{ name: "dp 2", layout: { dp: 2 }, batch: 2 }];
  const scaling = { model: MODEL, runs, pairs: [["dp 2", "dp 2"]] as const, task: { warmUps: 0, steps: 1 } };
  const [{ label, ms }] = await Array.fromAsync(compareLayouts([scaling], { rounds: 1 }));
  assertEquals(label, "GPT 1 x 8, T 8, batch 2: dp 2 over dp 2");
  assertEquals(ms.get("layout"), ms.get("base"));
});

Deno.test("checkLosses() refuses a contestant that trains another model", () => {
  checkLosses(new Map([["ours", [5.5, 5.4]], ["Peer", [5.5, 5.4005, 1]]]));
  const other = new Map([["ours", [5.5, 5.4]], ["Peer", [5.5, 5.5]]]);
  assertThrows(() => checkLosses(other), Error, "The loss of step 1 of Peer is 5.5, that of ours is 5.4: ");
});
