/**
 * Where tokens stand: their positions, and the first key that each of them sees, in sequences, windows and documents.
 */
import type { AttentionArgs } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";

/** What a kernel is told of first keys; nothing if queries see all keys before them. */
export type FirstKeys = Pick<AttentionArgs, "firstKeys" | "strideFirstKeys">;

/**
 * Positions of tokens as a tensor, i32 [B, T], if they are known when the tape runs: its `positions`, or places in the
 * documents that share a row. Undefined if they are those of the placement.
 */
export function positionsOf(tape: Tape, [batch, tokens]: readonly number[]): Tensor | undefined {
  const { documents, positions } = tape;
  if (documents === undefined) return positions;
  return tape.once(`positions ${batch} x ${tokens}`, (tape) => {
    const out = tape.output("positions", [batch, tokens], [], "i32"), { heap } = tape;
    return tape.record({
      name: "positions",
      inputs: [],
      output: out,
      forward: () => {
        const starts = heap.i32(documents.span), places = heap.i32(out.span);
        for (let i = 0; i < places.length; i++) places[i] = i % tokens - starts[i];
      },
    });
  });
}

/**
 * First keys of queries that see all keys of their sequence, window or document.
 *
 * @param window Keys that a query sees, itself included; undefined: all before it.
 */
export function firstKeysOf(
  tape: Tape,
  window: number | undefined,
  [batch, tokens]: readonly number[],
): FirstKeys {
  const { documents } = tape,
    first = (t: number) => Math.max(0, tape.positionOf(t) - (window ?? Infinity) + 1);
  if (documents === undefined) {
    return window === undefined
      ? {}
      : windowKeys(tape, `${window} of ${tokens}`, Array.from({ length: tokens }, (_, t) => first(t)));
  }
  if (window === undefined) return { firstKeys: documents.span, strideFirstKeys: tokens };
  const both = tape.once(`first keys in windows of ${window}`, (tape) => {
    const out = tape.output("first keys", [batch, tokens], [], "i32"), { heap } = tape;
    return tape.record({
      name: "first keys",
      inputs: [],
      output: out,
      forward: () => {
        const starts = heap.i32(documents.span), keys = heap.i32(out.span);
        for (let i = 0; i < keys.length; i++) keys[i] = Math.max(starts[i], first(i % tokens));
      },
    });
  });
  return { firstKeys: both.span, strideFirstKeys: tokens };
}

/**
 * First keys that never change, the same for all samples.
 *
 * @param what Tells them from others of the tape.
 */
export function windowKeys(tape: Tape, what: string, firstKeys: readonly number[]): FirstKeys {
  const known = tape.once(`first keys ${what}`, (tape) => {
    return tape.constant("first keys", [firstKeys.length], "i32", (i) => firstKeys[i]);
  });
  return { firstKeys: known.span, strideFirstKeys: 0 };
}
