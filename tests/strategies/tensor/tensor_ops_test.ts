import { assertEquals } from "@std/assert";
import type { Span } from "../../../kernels/mod.ts";
import { Tape, type Tensor } from "../../../nn/mod.ts";
import {
  collectRows,
  copyToGroup,
  gatherRows,
  type GroupOp,
  scatterRows,
  sliceRows,
  sumOverGroup,
} from "../../../strategies/mod.ts";
import { phantomBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

type Record = (tape: Tape, x: Tensor, op: GroupOp) => Tensor;

/** What member 1 of 2 asks of its group in each pass of an op on [rows, 3], and the shape of the result. */
function passesOf(
  record: Record,
  rows: number,
): [forward: string, backward: string, shape: readonly number[]] {
  const calls: string[] = [];
  const log = (name: string) => (span: Span) => void calls.push(`${name} of ${span.length}`);
  const group = fakeGroup(2, 1, {
    allReduce: log("all-reduce"),
    allGather: log("all-gather"),
    reduceScatter: log("reduce-scatter"),
  });
  const tape = new Tape({ backend: phantomBackend(), training: true });
  const out = record(tape, tape.handoff("x", [rows, 3]).tensor, { group, label: "layer" });
  tape.handoffTo(out);
  tape.plan();
  const callsOf = (run: () => void) => {
    calls.length = 0;
    run();
    return calls.join(", ") || "nothing";
  };
  return [callsOf(() => tape.forward()), callsOf(() => tape.backward()), out.shape];
}

Deno.test("every op between layers is a collective forward and its mirror backward", () => {
  // Of 5 rows, member 1 holds the last 2.
  const whole = { tokens: [5] };
  assertEquals(
    {
      copyToGroup: passesOf(copyToGroup, 5),
      sumOverGroup: passesOf(sumOverGroup, 5),
      gatherRows: passesOf((tape, x, op) => gatherRows(tape, x, { ...op, ...whole }), 2),
      scatterRows: passesOf(scatterRows, 5),
      sliceRows: passesOf(sliceRows, 5),
      collectRows: passesOf((tape, x, op) => collectRows(tape, x, { ...op, ...whole }), 2),
    },
    {
      copyToGroup: ["nothing", "all-reduce of 15", [5, 3]],
      sumOverGroup: ["all-reduce of 15", "nothing", [5, 3]],
      gatherRows: ["all-gather of 6", "reduce-scatter of 15", [5, 3]],
      scatterRows: ["reduce-scatter of 15", "all-gather of 6", [2, 3]],
      sliceRows: ["nothing", "all-gather of 6", [2, 3]],
      collectRows: ["all-gather of 6", "nothing", [5, 3]],
    },
  );
});
