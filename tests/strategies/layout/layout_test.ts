import { assertEquals, assertThrows } from "@std/assert";
import {
  context,
  data,
  expert,
  Layout,
  layoutOf,
  LEVELS,
  parseLayout,
  pipeline,
  sp,
  tensor,
  zero1,
  zero2,
  zero3,
} from "../../../strategies/layout/layout.ts";

Deno.test("a layout prints as the code that makes it, and knows its mesh", () => {
  const layout = data(2, pipeline(2, tensor(2)));
  assertEquals(String(layout), "data(2, pipeline(2, tensor(2)))");
  assertEquals(layout.degrees, { dp: 2, pp: 2, ep: 1, cp: 1, tp: 2 });
  assertEquals(layout.size, 8);
  assertEquals(layout.mesh().line(0, "dp"), [0, 4]);
  assertEquals(
    String(data(2, pipeline(3, expert(4, context(5, tensor(6)))))),
    "data(2, pipeline(3, expert(4, context(5, tensor(6)))))",
  );
  assertEquals(String(new Layout([])), "data(1)");
});

Deno.test("zero shards the data axis, alone or inside replicas", () => {
  assertEquals(zero3(4).zero, { stage: 3, shard: 4, replicate: 1 });
  assertEquals(data(2, zero2(4, tensor(2))).zero, { stage: 2, shard: 4, replicate: 2 });
  assertEquals(data(2, zero2(4, tensor(2))).degrees.dp, 8);
  assertEquals(zero1(2, pipeline(2)).degrees, { dp: 2, pp: 2, ep: 1, cp: 1, tp: 1 });
  assertEquals(data(4).zero, { stage: 0, shard: 1, replicate: 4 });
});

Deno.test("of all pairs of levels exactly those in order nest", () => {
  const depth = { data: 0, zero1: 1, zero2: 1, zero3: 1, pipeline: 2, expert: 3, context: 4, tensor: 5 };
  let numLegal = 0;
  for (const outer of LEVELS) {
    for (const inner of LEVELS) {
      const make = () => new Layout([{ name: outer, degree: 2 }, { name: inner, degree: 3 }]);
      if (depth[outer] < depth[inner]) {
        assertEquals(String(parseLayout(String(make()))), `${outer}(2, ${inner}(3))`);
        numLegal++;
      } else assertThrows(make, RangeError, `Cannot put ${inner}(3) inside ${outer}(2): the order`);
    }
  }
  assertEquals(numLegal, 7 + 3 * 4 + 3 + 2 + 1);
});

Deno.test("sequence parallelism stands inside of the tensor axis, in code, text and options", () => {
  const text = "data(2, pipeline(2, tensor(2, sp)))", layout = data(2, pipeline(2, tensor(2, sp)));
  assertEquals([String(layout), layout.sp, layout.size], [text, true, 8]);
  assertEquals(parseLayout(text), layout);
  assertEquals(parseLayout("data(2,pipeline( 2,tensor( 2 , sp ) ))"), layout);
  assertEquals(String(layoutOf({ dp: 2, pp: 2, tp: 2 }, { sp: true })), text);
  assertEquals(String(layoutOf({ tp: 4, dp: 2 }, { stage: 3, sp: true })), "zero3(2, tensor(4, sp))");
  assertEquals(data(2, tensor(2)).sp, false);
  for (const wrong of ["data(2, sp)", "tensor(1, sp)", "data(2, pipeline(2, sp))"]) {
    assertThrows(() => parseLayout(wrong), RangeError, "sp needs tensor(2) or more");
  }
  assertThrows(() => parseLayout("tensor(2, sp, sp)"), SyntaxError, "a level is NAME");
  assertThrows(() => parseLayout("tensor(2, sp"), SyntaxError, "a level is NAME");
  assertThrows(() => layoutOf({ dp: 2 }, { sp: true }), RangeError, "Cannot make tensor(1, sp)");
});

Deno.test("layouts refuse degrees that are no count", () => {
  assertThrows(() => tensor(0), RangeError, "Cannot make tensor(0): a degree is a whole number from 1");
  assertThrows(() => data(1.5), RangeError, "data(1.5)");
});

Deno.test("parseLayout() reads what a layout prints, with any blanks", () => {
  for (const text of ["data(1)", "tensor(8)", "data(2, zero3(2, context(2)))"]) {
    assertEquals(String(parseLayout(text)), text);
  }
  assertEquals(
    String(parseLayout(" data ( 2,pipeline(2 ,\ttensor(2) ) ) ")),
    "data(2, pipeline(2, tensor(2)))",
  );
});

Deno.test("parseLayout() says where the text goes wrong", () => {
  const cases: [string, string][] = [
    ["data", 'Cannot read layout "data" from column 1: a level is NAME(DEGREE)'],
    ["data(2, model(2))", 'from column 8: "model" is no level, known are data, zero1'],
    ["data(2, tensor(2)", "2 closing brackets must end it"],
    ["data(2) tensor(2)", "1 closing brackets must end it"],
    ["data(-2)", "from column 1: a level is NAME(DEGREE), NAME(DEGREE, LEVEL) or tensor(DEGREE, sp)"],
    ["", "from column 1"],
  ];
  for (const [text, message] of cases) assertThrows(() => parseLayout(text), SyntaxError, message);
  assertThrows(() => parseLayout("tensor(2, data(2))"), RangeError, "Cannot put data(2) inside tensor(2)");
});

Deno.test("layoutOf() makes the layout of options", () => {
  assertEquals(String(layoutOf({ dp: 2, pp: 2, tp: 2 })), "data(2, pipeline(2, tensor(2)))");
  assertEquals(String(layoutOf({})), "data(1)");
  assertEquals(String(layoutOf({ dp: 8 }, { stage: 3, shard: 4 })), "data(2, zero3(4))");
  assertEquals(String(layoutOf({ dp: 4, cp: 2 }, { stage: 1 })), "zero1(4, context(2))");
  assertThrows(() => layoutOf({ dp: 6 }, { stage: 2, shard: 4 }), RangeError, "shard over 4 of 6 replicas");
  assertThrows(() => layoutOf({ dp: 0 }), RangeError, "dp 0");
});
