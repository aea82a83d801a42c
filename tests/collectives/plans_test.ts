import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { chooseAlgorithm, EAGER_MAX_BYTES } from "../../collectives/algorithms/all_reduce.ts";
import { chunkOf, lineChunkStart } from "../../collectives/algorithms/chunks.ts";
import { ControlBlock, ControlLayout, LINE_BYTES } from "../../collectives/control/control_block.ts";
import { Ledger } from "../../collectives/control/ledger.ts";
import { reductionCode } from "../../collectives/algorithms/operation.ts";
import {
  numRegisters,
  reductionSteps,
  STEP_KIND,
  treeSplit,
} from "../../collectives/algorithms/reduction_tree.ts";
import { numRingSteps, ringChunk } from "../../collectives/algorithms/ring.ts";

Deno.test("chunkOf() covers every element once", () => {
  for (let size = 1; size <= 8; size++) {
    for (const length of [0, 1, size - 1, size, size + 1, 97]) {
      let next = 0;
      for (let i = 0; i < size; i++) {
        const { start, length: count } = chunkOf(length, size, i);
        assertEquals(start, next);
        next = start + count;
      }
      assertEquals(next, length);
    }
  }
});

Deno.test("chunkOf() keeps rows together, and refuses a length that is not whole rows", () => {
  const chunks = [0, 1, 2].map((i) => chunkOf(4 * 5, 3, i, 5));
  assertEquals(chunks, [{ start: 0, length: 10 }, { start: 10, length: 10 }, { start: 20, length: 0 }]);
  assertThrows(() => chunkOf(21, 3, 0, 5), RangeError, "Cannot split 21 elements into rows of 5");
});

Deno.test("lineChunkStart() gives every owner whole lines of 128 bytes", () => {
  const starts = [0, 1, 2, 3, 4].map((i) => lineChunkStart(100, 4, i));
  assertEquals(starts, [0, 32, 64, 96, 100]);
  assertEquals([0, 1, 2].map((i) => lineChunkStart(1, 2, i)), [0, 1, 1]);
});

Deno.test("ringChunk() pulls every chunk once in each half, as drawn", () => {
  const rows = [0, 1, 2].map((index) =>
    Array.from({ length: numRingSteps(3) }, (_, k) => `${k < 2 ? "+" : " "}${ringChunk(k, index, 3)}`).join(
      " ",
    )
  );
  assertEquals(rows, ["+2 +1  0  2", "+0 +2  1  0", "+1 +0  2  1"]);
});

/** The expression that the steps compute; the operands of a sum in order of their members. */
function expressionOf(index: number, size: number): string {
  const registers: string[] = [String(index)];
  const sum = (a: string, b: string) =>
    parseInt(a.replaceAll("(", "")) < parseInt(b.replaceAll("(", "")) ? `(${a}+${b})` : `(${b}+${a})`;
  for (const { kind, target, source } of reductionSteps(index, size)) {
    if (kind === STEP_KIND.COPY_PEER) registers[target] = String(source);
    else {registers[target] = sum(
        registers[target],
        kind === STEP_KIND.ADD_PEER ? String(source) : registers[source],
      );}
  }
  return registers[0];
}

Deno.test("reductionSteps() compute the same tree on every member", () => {
  assertEquals([2, 3, 4, 5, 7, 8].map(treeSplit), [1, 2, 2, 4, 4, 4]);
  const trees = [1, 2, 3, 4, 5, 7].map((size) => {
    const expressions = Array.from({ length: size }, (_, index) => expressionOf(index, size));
    assertEquals(new Set(expressions).size, 1, expressions.join(" "));
    return expressions[0];
  });
  assertEquals(trees, [
    "0",
    "(0+1)",
    "((0+1)+2)",
    "((0+1)+(2+3))",
    "(((0+1)+(2+3))+4)",
    "(((0+1)+(2+3))+((4+5)+6))",
  ]);
  assertEquals(numRegisters(reductionSteps(0, 8)), 2);
});

Deno.test("chooseAlgorithm() is a function of size and group", () => {
  assertEquals(chooseAlgorithm(512, 2), "eager");
  assertEquals(chooseAlgorithm(1024, 2), "ordered");
  assertEquals(chooseAlgorithm(EAGER_MAX_BYTES, 4), "eager");
  assertEquals(chooseAlgorithm(EAGER_MAX_BYTES + 1, 4), "ordered");
  assertEquals(chooseAlgorithm(2 ** 28, 16), "ring");
});

Deno.test("ControlLayout gives every word of a group its own line", () => {
  const groups = [{ name: "a", ranks: [0, 1, 2] }, { name: "b", ranks: [2, 0] }];
  const layout = new ControlLayout({ worldSize: 3, groups });
  const words: number[] = [layout.abort, layout.stop];
  for (let rank = 0; rank <= 3; rank++) words.push(layout.status(rank), layout.errorLength(rank));
  groups.forEach(({ ranks }, g) => {
    for (let i = 0; i < ranks.length; i++) {
      words.push(layout.announced(g, i), layout.done(g, i), layout.step(g, i), layout.parked(g, i));
      for (let j = 0; j < ranks.length; j++) words.push(layout.tail(g, i, j), layout.head(g, i, j));
    }
  });
  const lines = words.map((word) => word * 4 / LINE_BYTES);
  assertEquals(lines.every(Number.isInteger), true);
  assertEquals(new Set(lines).size, lines.length);
  assertEquals(Math.max(...words) < layout.numWords, true);
});

Deno.test("ControlBlock refuses other buffers and impossible topologies", () => {
  const topology = { worldSize: 2, groups: [{ name: "all", ranks: [0, 1] }] };
  const control = ControlBlock.attach(ControlBlock.initialize(topology), topology);
  assertThrows(
    () => ControlBlock.attach(new SharedArrayBuffer(64), topology),
    RangeError,
    "this topology needs",
  );
  for (
    const [ranks, text] of [[[0, 2], "the world has ranks 0..1"], [[], "no ranks"], [
      [1, 1],
      "twice",
    ]] as const
  ) {
    const groups = [{ name: "x", ranks: [...ranks] }];
    assertThrows(() => ControlBlock.initialize({ worldSize: 2, groups }), RangeError, text);
  }
  assertEquals(control.isStopRequested, false);
  control.requestStop();
  assertEquals(control.isStopRequested, true);
  const bytes = control.writeText(500, "Gr\u00f6\u00dfe 7", 100);
  assertEquals(control.readText(500, bytes), "Gr\u00f6\u00dfe 7");
});

Deno.test("reductionCode() refuses what there is no kernel for", () => {
  assertEquals(reductionCode("max", "f32"), 2);
  assertThrows(() => reductionCode("max", "f64"), TypeError, "Cannot reduce by max of f64");
});

Deno.test("Ledger books waits by peer and operation until it is reset", () => {
  const ledger = new Ledger(3);
  ledger.addWait(2, 1, 5);
  ledger.addWait(0, 6, 1);
  assertEquals(ledger.read().waitMsByPeer, [1, 0, 5]);
  assertEquals(ledger.read().waitMsByOperation, { allReduce: 5, barrier: 1 });
  ledger.reset();
  assertEquals(ledger.read(), {
    ...{ bytesMoved: 0, copyMs: 0, waitMs: 0 },
    waitMsByPeer: [0, 0, 0],
    waitMsByOperation: {},
  });
  assertStringIncludes(JSON.stringify(ledger.read()), "waitMs");
});
