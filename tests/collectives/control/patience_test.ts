import { assertEquals } from "@std/assert";
import { ControlBlock } from "../../../collectives/mod.ts";
import { Patience } from "../../../collectives/control/patience.ts";
import { emptyWaitPoint, RankStatus } from "../../../collectives/control/status.ts";

function world(): { control: ControlBlock; ranks: RankStatus[] } {
  const topology = { worldSize: 3, groups: [{ name: "world", ranks: [0, 1, 2] }] };
  const control = ControlBlock.attach(ControlBlock.initialize(topology), topology);
  return { control, ranks: [0, 1, 2].map((rank) => new RankStatus(control, rank)) };
}

Deno.test("Patience counts the time of a wait, but not that of a process that was stopped", () => {
  const { control } = world(), patience = new Patience(control, ["checkpoint"]);
  patience.begin(5000);
  for (const time of [5020, 5040, 5060]) patience.pass(time);
  assertEquals(patience.waitedMs(0), 60);
  // Ctrl-Z, an hour, fg.
  patience.pass(3_605_060);
  assertEquals(patience.waitedMs(0), 1060);
});

Deno.test("Patience counts anew after a phase without a limit, of the rank that all wait for in the end", () => {
  const { control, ranks } = world(), patience = new Patience(control, ["checkpoint"]);
  for (const rank of ranks) rank.setState("running");
  ranks[0].setPlace(3, "checkpoint");
  ranks[1].setPlace(4, "forward");
  ranks[1].publishWait({ ...emptyWaitPoint(), peer: 0 });
  patience.begin(0);
  patience.pass(500);
  assertEquals(patience.waitedMs(1), 0, "rank 1 waits for rank 0, which writes");
  ranks[0].setPlace(4, "forward");
  patience.pass(700);
  assertEquals(patience.waitedMs(1), 200);
});
