/**
 * Offline stand-in for `jsr:@std/assert`: the names and the meaning of the part that Tessera uses.
 *
 * `"workspace"` in the project's deno.json resolves `jsr:@std/assert` to this folder, so that a checkout needs
 * nothing but the npm registry. The published package uses the real one.
 *
 * @module
 */
import { AssertionError } from "./error.ts";
import { equal } from "./equal.ts";
import { assertIsError } from "./throws.ts";

export { AssertionError } from "./error.ts";
export { equal } from "./equal.ts";
export { assertIsError, assertRejects, assertThrows } from "./throws.ts";

/** Any class, also an abstract one. */
// deno-lint-ignore no-explicit-any
export type AnyConstructor = abstract new (...args: any[]) => any;

/** Fails unless `expression` is truthy. */
export function assert(expression: unknown, msg = ""): asserts expression {
  if (!expression) throw new AssertionError(msg);
}

/** Fails if `expression` is truthy. */
export function assertFalse(expression: unknown, msg = "Expected a falsy value"): void {
  if (expression) throw new AssertionError(msg);
}

/** Fails unless both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) fails("Values are not equal", actual, expected, msg);
}

/** Fails if both values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) fails("Expected values to differ", actual, expected, msg);
}

/** Fails unless both are the same value (`Object.is`). */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (!Object.is(actual, expected)) fails("Values are not strictly equal", actual, expected, msg);
}

/** Fails if both are the same value (`Object.is`). */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (Object.is(actual, expected)) fails("Expected values to be not strictly equal", actual, expected, msg);
}

/** Fails unless `|actual - expected| <= tolerance`; by default 1e-7 of `expected`. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance = Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const delta = Math.abs(expected - actual);
  if (delta <= tolerance) return;
  fails(`Expected values within ${tolerance}, their difference is ${delta}`, actual, expected, msg);
}

/** Fails if the value is null or undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(join(`Expected actual: "${actual}" to not be null or undefined`, msg));
  }
}

/** Fails unless the string contains the other. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    fails("Expected actual to contain the expected text", actual, expected, msg);
  }
}

/** Fails unless every element of `expected` is in `actual`. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void {
  const missing = Array.from(expected).filter((x) => !Array.from(actual).some((y) => equal(x, y)));
  if (missing.length > 0) fails("Expected actual to include the expected elements", actual, missing, msg);
}

/** Fails unless the string matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) fails("Expected actual to match", actual, expected, msg);
}

/** Fails if the string matches. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) fails("Expected actual to not match", actual, expected, msg);
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) fails("Expected actual > expected", actual, expected, msg);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) fails("Expected actual >= expected", actual, expected, msg);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) fails("Expected actual < expected", actual, expected, msg);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) fails("Expected actual <= expected", actual, expected, msg);
}

/** Fails unless the value is an instance of the class. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  if (actual instanceof Error) assertIsError(actual, expectedType as never, undefined, msg);
  throw new AssertionError(join(`Expected an instance of "${expectedType.name}"`, msg));
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError(join("Failed assertion", msg));
}

/** Fails because a place was reached that should not be. */
export function unreachable(msg?: string): never {
  throw new AssertionError(join("Unreachable", msg));
}

function fails(what: string, actual: unknown, expected: unknown, msg?: string): never {
  const lines = [`${join(what, msg)}`, `  actual:   ${show(actual)}`, `  expected: ${show(expected)}`];
  const place = firstDifference(actual, expected);
  if (place !== undefined) lines.push(`  first difference at index ${place}`);
  throw new AssertionError(lines.join("\n"));
}

function join(what: string, msg?: string): string {
  return msg === undefined ? `${what}.` : `${what}: ${msg}`;
}

function show(value: unknown): string {
  const text = Deno.inspect(value, {
    depth: 8,
    sorted: true,
    trailingComma: true,
    strAbbreviateSize: 10_000,
  });
  return text.length > 4000 ? `${text.slice(0, 4000)} ...` : text;
}

function firstDifference(actual: unknown, expected: unknown): number | undefined {
  if (!isList(actual) || !isList(expected)) return undefined;
  const length = Math.max(actual.length, expected.length);
  for (let i = 0; i < length; i++) if (!equal(actual[i], expected[i])) return i;
  return undefined;
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);
}
