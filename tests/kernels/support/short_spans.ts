import { assertThrows } from "@std/assert";
import type { Span } from "../../../kernels/mod.ts";

/** A span of f32. */
export function span(length: number): Span {
  return { byteOffset: 1024, length, dtype: "f32" };
}

/** Every span of `args` in turn is made one element too short. */
export function refusesShortSpans<A extends object>(args: A, check: (args: A) => void): void {
  check(args);
  for (const [name, value] of Object.entries(args)) {
    if (typeof value !== "object") continue;
    const short = { ...args, [name]: span((value as Span).length - 1) };
    assertThrows(() => check(short), RangeError, `${name} needs ${(value as Span).length} elements`);
  }
}
