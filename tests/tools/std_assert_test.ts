import * as std from "@std/assert";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertExists,
  AssertionError,
  assertIsError,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
} from "@std/assert";

Deno.test("equal() compares values as std does", () => {
  const cyclic: unknown[] = [1];
  cyclic.push(cyclic);
  const twin: unknown[] = [1];
  twin.push(twin);
  const same: [unknown, unknown][] = [
    [NaN, NaN],
    [0, -0],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
    [new Float32Array([1, NaN]), new Float32Array([1, NaN])],
    [new Map([[{ k: 1 }, "v"]]), new Map([[{ k: 1 }, "v"]])],
    [new Set([[1], [2]]), new Set([[2], [1]])],
    [new Date(5), new Date(5)],
    [/a/g, /a/g],
    [cyclic, twin],
  ];
  for (const [a, b] of same) if (!equal(a, b)) throw new Error(`must be equal: ${Deno.inspect(a)}`);
  const different: [unknown, unknown][] = [
    [1, "1"],
    [null, undefined],
    [{ a: undefined }, {}],
    [[1, 2], [1, 2, 3]],
    [new Float32Array([1]), new Float64Array([1])],
    [new Set([1]), new Set([2])],
    [new Map([[1, 2]]), new Map([[1, 3]])],
    [/a/g, /a/i],
    [new Error("a"), new TypeError("a")],
  ];
  for (const [a, b] of different) if (equal(a, b)) throw new Error(`must differ: ${Deno.inspect(a)}`);
});

Deno.test("assertions throw AssertionError when they do not hold", async () => {
  const broken: (() => unknown)[] = [
    () => assert(0),
    () => assertEquals([1, 2], [1, 3]),
    () => assertNotEquals({ a: 1 }, { a: 1 }),
    () => assertStrictEquals<unknown>({}, {}),
    () => assertAlmostEquals(1, 1.1, 0.01),
    () => assertExists(null),
    () => assertStringIncludes("abc", "d"),
    () => assertMatch("abc", /d/),
    () => std.assertFalse(1),
    () => std.assertArrayIncludes([1], [2]),
    () => std.assertGreater(1, 1),
    () => std.assertLessOrEqual(2, 1),
    () => std.assertInstanceOf({}, Map),
    () => fail("here"),
    () => assertThrows(() => {}),
    () =>
      assertThrows(() => {
        throw new TypeError("x");
      }, RangeError),
    () =>
      assertThrows(
        () => {
          throw new RangeError("x");
        },
        RangeError,
        "y",
      ),
  ];
  for (const fn of broken) assertIsError(caught(fn), AssertionError);
  await assertRejects(() => assertRejects(() => Promise.resolve()), AssertionError, "to reject");
  await assertRejects(
    () =>
      assertRejects(() => {
        throw new Error("synchronous");
      }),
    AssertionError,
    "throws when expected to reject",
  );
});

Deno.test("assertThrows() and assertRejects() return the error", async () => {
  const error = assertThrows(
    () => {
      throw new RangeError("too large: 7");
    },
    RangeError,
    "7",
  );
  assertEquals(error.message, "too large: 7");
  const reason = await assertRejects(() => Promise.reject(new TypeError("no")), TypeError);
  assertEquals(reason.name, "TypeError");
});

Deno.test("assertEquals() says where two lists differ", () => {
  const error = assertThrows(() => assertEquals([1, 2, 3], [1, 2, 4]), AssertionError);
  assertStringIncludes(error.message, "first difference at index 2");
});

function caught(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}
