/**
 * What you learn: a program is a module that every rank runs; a launcher starts one worker per device.
 *
 *     deno run --allow-read examples/01_hello_ranks.ts
 *
 * prints:
 *
 *     rank 0 of 3 says hello
 *     rank 1 of 3 says hello
 *     rank 2 of 3 says hello
 */
import { assertEquals } from "@std/assert";
import { type Device, launch, Mesh } from "../mod.ts";

/** The program: runs in a worker, once per rank. */
export default function hello(device: Device): string {
  return `rank ${device.rank} of ${device.worldSize} says hello`;
}

if (import.meta.main) {
  const world = launch({
    program: import.meta.url,
    topology: new Mesh({ dp: 3 }).topology(),
    deviceMemoryBytes: 1 << 20,
  });
  const greetings = await world.done;
  for (const greeting of greetings) console.log(greeting);
  assertEquals(greetings.length, 3);
}
