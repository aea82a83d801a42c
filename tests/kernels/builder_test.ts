import { assert, assertEquals, assertThrows } from "@std/assert";
import { createDeviceMemory } from "../../kernels/memory/heap.ts";
import { type Kernel, type Kernels, ModuleBuilder, parameters } from "../../kernels/wasm/builder.ts";
import { encodeModule, signed, unsigned } from "../../kernels/wasm/encode.ts";
import { Fold } from "../../kernels/wasm/fold.ts";
import { load } from "../../kernels/wasm/loads.ts";
import { type I32, splat, type V128 } from "../../kernels/wasm/values.ts";
import { Vectors } from "../../kernels/wasm/walk.ts";

const memory = createDeviceMemory(1 << 17);
const floats = new Float32Array(memory.buffer), integers = new Int32Array(memory.buffer);
const X = 4096, Y = 8192;

function build(emit: (module: ModuleBuilder) => void): Kernels {
  const module = new ModuleBuilder();
  emit(module);
  return module.instantiate([memory]);
}

Deno.test("unsigned() and signed() write LEB128", () => {
  assertEquals(unsigned(0), [0]);
  assertEquals(unsigned(624485), [0xe5, 0x8e, 0x26]);
  assertEquals(signed(-123456), [0xc0, 0xbb, 0x78]);
  assertEquals([63, 64, -64, -65].map((x) => signed(x).length), [1, 2, 1, 2]);
});

Deno.test("encodeModule() hides functions whose name starts with an underscore", () => {
  const f = { params: [], results: [], locals: [], body: [] };
  const bytes = encodeModule(1, [{ name: "shown", ...f }, { name: "_hidden", ...f }]);
  assertEquals(WebAssembly.Module.exports(new WebAssembly.Module(bytes)), [{
    name: "shown",
    kind: "function",
  }]);
});

Deno.test("Kernel for(), while() and if() run like their namesakes", () => {
  const { sumBelow, collatz } = build((module) => {
    module.func("sumBelow", { n: "i32", step: "i32" }, (k, { n, step }) => {
      const sum = k.i32(0);
      k.for(0, n, 3, (i) => sum.set(sum.add(i).add(step)));
      return sum;
    });
    module.func("collatz", { n: "i32" }, (k, { n }) => {
      const steps = k.i32(0);
      k.while(n.ne(1), () => {
        k.if(n.and(1), () => n.set(n.mul(3).add(1)), () => n.set(n.shrU(1)));
        steps.set(steps.add(1));
      });
      return steps;
    });
  });
  assertEquals([0, 1, 3, 4, 10].map((n) => sumBelow(n, 100)), [0, 100, 100, 203, 418]);
  assertEquals([1, 2, 27].map((n) => collatz(n)), [0, 1, 111]);
});

Deno.test("Kernel vectors() touches each element of any length once and nothing behind it", () => {
  const { increment } = build((module) => {
    module.func("increment", { x: "i32", n: "i32" }, (k, { x, n }) => {
      k.vectors(n, (v) => v.store(x, v.load(x).add(splat(1))));
    });
  });
  for (let n = 0; n < 40; n++) {
    const part = floats.subarray(X / 4, X / 4 + 48).fill(0);
    increment(X, n);
    assertEquals([...part], Array.from({ length: 48 }, (_, i) => i < n ? 1 : 0), `length ${n}`);
  }
});

Deno.test("Kernel vectors() loads all that a turn needs before it stores anything", () => {
  const { reverseOrder } = build((module) => {
    module.func("reverseOrder", parameters("i32", "x", "y", "n"), (k, { x, y, n }) => {
      k.vectors(n, (v) => {
        const sum = k.let(v.load(x).add(v.load(y)));
        v.store(x, sum);
        v.store(y, sum.add(v.load(x)));
      });
    });
  });
  for (const n of [3, 4, 8, 15]) {
    floats.fill(1, X / 4, X / 4 + n);
    floats.fill(2, Y / 4, Y / 4 + n);
    reverseOrder(X, Y, n);
    assertEquals([...floats.subarray(Y / 4, Y / 4 + n)], Array(n).fill(4));
  }
});

Deno.test("Vectors says which vector of a pair it is, and how many lanes count", () => {
  const seen: string[] = [];
  build((module) => {
    module.func("walk", { n: "i32" }, (k, { n }) => {
      k.vectors(n, (v) => {
        assert(v instanceof Vectors);
        seen.push(`${v.part}:${v.lanes}`);
      });
    });
  });
  assertEquals(seen, ["0:4", "1:4", "0:4", "0:1", "0:2", "0:3"]);
});

Deno.test("Fold leaves out the lanes behind the end, for any length", () => {
  const fold = (kind: "sum" | "max") => (module: ModuleBuilder) =>
    module.func("fold", { x: "i32", n: "i32" }, (k, { x, n }) => {
      const result = new Fold(k, kind);
      k.vectors(n, (v) => result.add(v, v.load(x)));
      return result.result().lane(0);
    });
  const sum = build(fold("sum")).fold, max = build(fold("max")).fold;
  floats.fill(1e9, X / 4, X / 4 + 64);
  for (let n = 0; n < 40; n++) {
    for (let i = 0; i < n; i++) floats[X / 4 + i] = i - 50;
    assertEquals(sum(X, n), n * (n - 1) / 2 - 50 * n);
    assertEquals(max(X, n), n === 0 ? -Infinity : n - 51);
  }
});

Deno.test("Kernel constant() is bound once, before the body, and is usable in every branch", () => {
  const { pick } = build((module) => {
    module.func("pick", { n: "i32" }, (k, { n }) => {
      const result = k.f32(0), locals = k.locals.length;
      k.if(n, () => result.set(k.constant(7).lane(0)));
      k.if(n.eq(0), () => result.set(k.constant(7).add(k.constantI32(0x3f800000)).lane(0)));
      assertEquals(k.locals.length, locals + 2);
      return result;
    });
  });
  assertEquals([pick(1), pick(0)], [7, 8]);
});

/** Applies an operation of vectors to four pairs. */
function lanes(
  operation: (k: Kernel, a: V128, b: V128) => V128,
  a: number[],
  b: number[],
  asInts = false,
): number[] {
  const { run } = build((module) => {
    module.func("run", parameters("i32", "a", "b"), (k, { a, b }) => {
      k.storeV128(a, operation(k, load.v128(a), load.v128(b)));
    });
  });
  const view = asInts ? integers : floats;
  view.set(a, X / 4);
  view.set(b, Y / 4);
  run(X, Y);
  return [...view.subarray(X / 4, X / 4 + 4)];
}

Deno.test("V128 has the semantics of its names", () => {
  const a = [1, -2, 3.5, NaN], b = [2, -5, 0.5, 1];
  const cases: [string, (k: Kernel, a: V128, b: V128) => V128, number[]][] = [
    ["add", (_, x, y) => x.add(y), [3, -7, 4, NaN]],
    ["sub", (_, x, y) => x.sub(y), [-1, 3, 3, NaN]],
    ["mul", (_, x, y) => x.mul(y), [2, 10, 1.75, NaN]],
    ["div", (_, x, y) => x.div(y), [0.5, 0.4000000059604645, 7, NaN]],
    ["min", (_, x, y) => x.min(y), [1, -5, 0.5, NaN]],
    ["max", (_, x, y) => x.max(y), [2, -2, 3.5, NaN]],
    ["pmin", (_, x, y) => x.pmin(y), [1, -5, 0.5, NaN]],
    ["pmax", (_, x, y) => x.pmax(y), [2, -2, 3.5, NaN]],
    ["madd", (_, x, y) => x.madd(y, y), [4, 5, 2.25, NaN]],
    ["nmadd", (_, x, y) => x.nmadd(y, y), [0, -15, -1.25, NaN]],
    ["lt select", (_, x, y) => x.lt(y).select(x, y), [1, -5, 0.5, 1]],
    ["gt select", (_, x, y) => x.gt(y).select(x, y), [2, -2, 3.5, 1]],
    ["le select", (_, x) => x.le(x).select(splat(1), splat(0)), [1, 1, 1, 0]],
    ["abs, neg", (_, x) => x.abs().neg(), [-1, -2, -3.5, NaN]],
    ["nearest", (_, x) => x.nearest(), [1, -2, 4, NaN]],
    ["sqrt", (_, _x, y) => y.mul(y).sqrt(), [2, 5, 0.5, 1]],
    ["shuffle", (_, x, y) => x.shuffle(y, [4, 0, 5, 2]), [2, 1, -5, 3.5]],
    ["to and from int", (_, x) => x.toI32().fromI32(), [1, -2, 3, 0]],
    ["promote, demote", (_, x) => x.promoteLow().demote(), [1, -2, 0, 0]],
  ];
  for (const [name, operation, want] of cases) assertEquals(lanes(operation, a, b), want, name);
});

Deno.test("V128 integer operations wrap and shift", () => {
  const a = [1, -8, 2147483647, 5], b = [2, 3, 1, 5];
  assertEquals(lanes((_, x, y) => x.addI32(y), a, b, true), [3, -5, -2147483648, 10]);
  assertEquals(lanes((_, x, y) => x.subI32(y), a, b, true), [-1, -11, 2147483646, 0]);
  assertEquals(lanes((_, x) => x.shrI32(1), a, b, true), [0, -4, 1073741823, 2]);
  assertEquals(lanes((_, x) => x.shlI32(4), a, b, true), [16, -128, -16, 80]);
  assertEquals(lanes((_, x, y) => x.ltI32(y), a, b, true), [-1, -1, 0, 0]);
});

Deno.test("Kernel copy(), zero() and storeLanes() write what they are asked to", () => {
  const { run } = build((module) => {
    module.func("run", { x: "i32", y: "i32" }, (k, { x, y }) => {
      k.copy(y, x, 12);
      k.zero(x, 8);
      for (const count of [1, 2, 3]) k.storeLanes(y.add(16 * count) as I32, splat(count), count);
    });
  });
  floats.fill(9, X / 4, X / 4 + 4);
  floats.fill(0, Y / 4, Y / 4 + 20);
  run(X, Y);
  assertEquals([...floats.subarray(X / 4, X / 4 + 4)], [0, 0, 9, 9]);
  assertEquals([...floats.subarray(Y / 4, Y / 4 + 16)], [9, 9, 9, 0, 1, 0, 0, 0, 2, 2, 0, 0, 3, 3, 3, 0]);
});

Deno.test("ModuleBuilder with two memories reads one and writes the other", () => {
  const peer = createDeviceMemory(1 << 17), module = new ModuleBuilder(2);
  module.func("pull", { x: "i32", n: "i32" }, (k, { x, n }) => k.vectors(n, (v) => v.store(x, v.load(x, 1))));
  new Float32Array(peer.buffer, X, 5).set([1, 2, 3, 4, 5]);
  module.instantiate([memory, peer]).pull(X, 5);
  assertEquals([...floats.subarray(X / 4, X / 4 + 5)], [1, 2, 3, 4, 5]);
});

Deno.test("a function that leaves the wrong type is refused by WebAssembly", () => {
  const module = new ModuleBuilder();
  module.func("wrong", { x: "f32" }, (k, { x }) => k.emit(x.code));
  assert(!WebAssembly.validate(module.encode()));
  assertThrows(() => module.instantiate([memory]), WebAssembly.CompileError);
});
