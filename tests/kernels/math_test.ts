import { assert, assertEquals } from "@std/assert";
import { createDeviceMemory } from "../../kernels/memory/heap.ts";
import { type Kernel, ModuleBuilder } from "../../kernels/wasm/builder.ts";
import {
  exp,
  gelu,
  geluErf,
  geluErfGradient,
  geluGradient,
  log,
  sigmoid,
  tanh,
  tanhGradient,
} from "../../kernels/wasm/math.ts";
import type { V128 } from "../../kernels/wasm/values.ts";

const BLOCK = 4096, INPUT = 1024, OUTPUT = INPUT + 4 * BLOCK + 64;
const memory = createDeviceMemory(1 << 20);
const inputs = new Float32Array(memory.buffer, INPUT, BLOCK);
const outputs = new Float32Array(memory.buffer, OUTPUT, BLOCK);

/** Runs an emitted function over any number of values. */
function evaluator(emit: (k: Kernel, x: V128) => V128): (values: Float32Array) => Float32Array {
  const module = new ModuleBuilder();
  module.func("f", { x: "i32", out: "i32", n: "i32" }, (k, { x, out, n }) => {
    k.vectors(n, (v) => v.store(out, emit(k, v.load(x))));
  });
  const { f } = module.instantiate([memory]);
  return (values) => {
    const result = new Float32Array(values.length);
    for (let first = 0; first < values.length; first += BLOCK) {
      const part = values.subarray(first, first + BLOCK);
      inputs.set(part);
      f(INPUT, OUTPUT, part.length);
      result.set(outputs.subarray(0, part.length), first);
    }
    return result;
  };
}

/** Every `stride`th float32 there is, both signs, denormals, infinities and NaN included. */
function allFloats(stride: number): Float32Array {
  const bits = new Uint32Array(Math.floor(2 ** 32 / stride));
  for (let i = 0; i < bits.length; i++) bits[i] = i * stride;
  return new Float32Array(bits.buffer);
}

/** Distance to the next float32 at `x`. */
function ulp(x: number): number {
  const size = Math.abs(x);
  return size < 2 ** -126 ? 2 ** -149 : 2 ** (Math.floor(Math.log2(size)) - 23);
}

const MAX_FLOAT = 3.4028234663852886e38;

/** The largest error in ulp where the true value is a finite float32; elsewhere values must be equal. */
function largestError(
  emit: (k: Kernel, x: V128) => V128,
  truth: (x: number) => number,
  values: Float32Array,
  unit: (x: number, want: number) => number = (_, want) => ulp(want),
): number {
  const got = evaluator(emit)(values);
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const want = truth(values[i]);
    if (Number.isNaN(want) || Math.abs(want) > MAX_FLOAT) {
      assert(Object.is(got[i], Math.fround(want)), `f(${values[i]}) is ${got[i]}, not ${Math.fround(want)}`);
    } else {
      const error = Math.abs(got[i] - want) / unit(values[i], want);
      assert(!Number.isNaN(error), `f(${values[i]}) is ${got[i]}, not ${want}`);
      largest = Math.max(largest, error);
    }
  }
  return largest;
}

function values(emit: (k: Kernel, x: V128) => V128, xs: readonly number[]): number[] {
  return [...evaluator(emit)(new Float32Array(xs))];
}

const FLOATS = allFloats(4099);
/** Where most inputs of a model lie: 2^20 places in -20..20. */
const USUAL = Float32Array.from({ length: 1 << 20 }, (_, i) => (i / (1 << 19) - 1) * 20);

function report(name: string, errors: readonly number[], limit: number): void {
  const worst = Math.max(...errors);
  assert(worst <= limit, `${name} is ${worst} ulp off`);
}

Deno.test("exp() is within 1.02 ulp for all floats", () => {
  report("exp", [FLOATS, USUAL].map((x) => largestError(exp, Math.exp, x)), 1.02);
});

Deno.test("log() is within 0.8 ulp for all floats", () => {
  const nearOne = USUAL.map((x) => 1 + x / 100);
  report("log", [FLOATS, nearOne].map((x) => largestError(log, Math.log, x)), 0.8);
});

Deno.test("tanh() is within 1.3 ulp for all floats, also near 0", () => {
  report("tanh", [FLOATS, USUAL].map((x) => largestError(tanh, Math.tanh, x)), 1.3);
});

Deno.test("sigmoid() is within 2.5 ulp for all floats", () => {
  const truth = (x: number) => 1 / (1 + Math.exp(-x));
  report("sigmoid", [FLOATS, USUAL].map((x) => largestError(sigmoid, truth, x)), 2.5);
});

Deno.test("tanhGradient() is within 5 ulp for all floats", () => {
  const truth = (x: number) => {
    const power = Math.exp(-2 * Math.abs(x));
    return 4 * power / (1 + power) ** 2;
  };
  report("tanhGradient", [FLOATS, USUAL].map((x) => largestError(tanhGradient, truth, x)), 5);
});

/** 2u of gelu_new. */
function geluArgument(x: number): number {
  return 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
}

function trueGelu(x: number): number {
  return x === -Infinity ? -0 : x / (1 + Math.exp(-geluArgument(x)));
}

function trueGeluGradient(x: number): number {
  const c = Math.max(-30, Math.min(30, x)), s = 1 / (1 + Math.exp(-geluArgument(c)));
  const slope = 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * c * c);
  return s + c * s / (1 + Math.exp(geluArgument(c))) * slope;
}

Deno.test("gelu() is within (4 + 3 |2u|) ulp for all floats", () => {
  const unit = (x: number, want: number) => ulp(want) * (4 + 3 * Math.min(100, Math.abs(geluArgument(x))));
  report("gelu", [FLOATS, USUAL].map((x) => largestError(gelu, trueGelu, x, unit)), 1);
});

Deno.test("geluGradient() is within 5e-7 for all floats", () => {
  report(
    "geluGradient",
    [FLOATS, USUAL].map((x) => largestError(geluGradient, trueGeluGradient, x, () => 5e-7)),
    1,
  );
});

/** Phi by Simpson's rule from 0, or from x to where nothing is left: digits enough, and another way than the oracle's. */
function trueNormal(x: number): number {
  const size = Math.abs(x), far = Math.min(size + 12, 42), n = 4000;
  if (size > 39) return x < 0 ? 0 : 1;
  const step = (far - size) / n;
  let sum = 0;
  for (let i = 0; i <= n; i++) {
    const at = size + i * step, weight = i === 0 || i === n ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * Math.exp(-at * at / 2);
  }
  const tail = sum * step / 3 / Math.sqrt(2 * Math.PI);
  return x < 0 ? tail : 1 - tail;
}

/** 2^11 places in -16..16, and some beyond. */
const NEAR = Float32Array.from({ length: 1 << 11 }, (_, i) => (i / (1 << 10) - 1) * 16);
const BEYOND = new Float32Array([-1e30, -50, 50, 1e30, 1e-30, -1e-30, 2 ** -140, 0]);

Deno.test("geluErf() is within (5 + x^2) ulp, and its gradient within 5e-7", () => {
  const unit = (x: number, want: number) => ulp(want) * (5 + Math.min(200, x * x));
  report(
    "geluErf",
    [NEAR, BEYOND].map((x) => largestError(geluErf, (x) => x * trueNormal(x), x, unit)),
    1,
  );
  const slope = (x: number) => trueNormal(x) + x * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  report(
    "geluErfGradient",
    [NEAR, BEYOND].map((x) => largestError(geluErfGradient, slope, x, () => 5e-7)),
    1,
  );
});

Deno.test("exp() at its special points", () => {
  assertEquals(values(exp, [0, -0, -Infinity, Infinity, NaN, 89, -104, 1e30, -1e30]), [
    ...[1, 1, 0, Infinity, NaN, Infinity, 0, Infinity, 0],
  ]);
});

Deno.test("log() at its special points", () => {
  assertEquals(values(log, [0, -0, -1, -Infinity, Infinity, NaN, 1]), [
    ...[-Infinity, -Infinity, NaN, NaN, Infinity, NaN, 0],
  ]);
});

Deno.test("tanh(), sigmoid() and gelu() at their special points", () => {
  const specials = [0, -0, Infinity, -Infinity, NaN];
  assertEquals(values(tanh, specials), [0, -0, 1, -1, NaN]);
  assertEquals(values(sigmoid, specials), [0.5, 0.5, 1, 0, NaN]);
  assertEquals(values(gelu, specials), [0, -0, Infinity, -0, NaN]);
  assertEquals(values(geluGradient, specials), [0.5, 0.5, 1, 0, NaN]);
});
