import { assertEquals, assertRejects } from "@std/assert";
import { connect } from "../../actors/mailbox.ts";

interface Left {
  double(x: number): number;
  fail(): void;
}
interface Right {
  greet(name: string, words: Float32Array): string;
}

Deno.test("connect() lets both sides call each other", async () => {
  const { port1, port2 } = new MessageChannel();
  const right: Right = { greet: (name, words) => `${name} ${words.length}` };
  const left: Left = {
    double: (x) => 2 * x,
    fail: () => {
      throw new RangeError("no room");
    },
  };
  const atRight = connect<Left>(port2 as unknown as Parameters<typeof connect>[0], right);
  const atLeft = connect<Right>(port1 as unknown as Parameters<typeof connect>[0], left);
  try {
    assertEquals(await Promise.all([1, 2, 3].map((x) => atRight.double(x))), [2, 4, 6]);
    assertEquals(await atLeft.greet("words", new Float32Array(3)), "words 3");
    const error = await assertRejects(async () => await atRight.fail(), Error, "no room");
    assertEquals(error.name, "RangeError");
  } finally {
    port1.close();
    port2.close();
  }
});
