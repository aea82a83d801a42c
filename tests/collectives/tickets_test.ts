import { assertEquals } from "@std/assert";
import { Tickets } from "../../collectives/mod.ts";
import { toShared } from "../../kernels/mod.ts";

Deno.test("Tickets gives each number once, whoever asks", () => {
  const word = toShared(new Int32Array(1));
  const [first, second] = [new Tickets(word), new Tickets(word)];
  assertEquals([first.take(), second.take(), second.take(), first.take()], [0, 1, 2, 3]);
});
