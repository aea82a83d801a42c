import { assertEquals, assertThrows } from "@std/assert";
import { decodeTrainerState, encodeTrainerState } from "../../checkpoint/trainer_state.ts";
import { UsageError } from "../../files/usage_error.ts";

Deno.test("decodeTrainerState() reads what encodeTrainerState() writes, with the bits of the losses", () => {
  const losses = [...new Float32Array([5.545177, 1 / 3, 1e-38])];
  const state = { step: 3, options: { lr: 1e-3, order: "shuffle" }, losses };
  assertEquals(decodeTrainerState(encodeTrainerState(state), "s"), state);
  const empty = { step: 0, options: {}, losses: [] };
  assertEquals(decodeTrainerState(encodeTrainerState(empty), "s"), empty);
});

Deno.test("decodeTrainerState() says what is wrong", () => {
  const text = encodeTrainerState({ step: 1, options: {}, losses: [2] });
  const change = (fields: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(text), ...fields });
  const cases: [string, string][] = [
    [text.slice(0, 20), "it is not JSON, perhaps truncated"],
    ["null", "its format is not"],
    [change({ version: 9 }), "its version is 9, supported is 1"],
    [change({ step: -1 }), "step is not a whole number"],
    [change({ options: [] }), "options is not an object"],
    [change({ losses: [1, 2] }), "losses does not hold 1 numbers"],
    [change({ losses: [null] }), "losses does not hold 1 numbers"],
  ];
  for (const [bad, message] of cases) {
    assertThrows(() => decodeTrainerState(bad, "s"), UsageError, `Cannot resume from s: ${message}`);
  }
});
