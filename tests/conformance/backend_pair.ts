import { assert, assertEquals } from "@std/assert";
import {
  type Backend,
  createDeviceMemory,
  DeviceHeap,
  ReferenceBackend,
  type Span,
} from "../../kernels/mod.ts";

/** Unit roundoff of float32: the relative error of one rounding. */
export const EPS = 2 ** -24;

/** Additions that an element of a row's sum goes through: eight chains, then a tree of three. */
export function chain(n: number): number {
  return Math.ceil(n / 8) + 3;
}

/** Distance of float32 numbers near `x`. */
export function ulp(x: number): number {
  const size = Math.abs(x);
  return size < 2 ** -126 || !Number.isFinite(size) ? 2 ** -149 : 2 ** (Math.floor(Math.log2(size)) - 23);
}

/** Allowed error of an element, from its index and its true value; 0 demands the same bits. */
export type Bound = number | ((index: number, want: number) => number);

/** Reproducible values in -1..1. */
export function noise(length: number, seed = 1): Float32Array {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 0;
  return new Float32Array(length).map(() => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5 | 0;
    return (state ^ (state >>> 13)) / 2 ** 31;
  });
}

/** The numbers that break careless code. */
export const SPECIALS: readonly number[] = [
  ...[NaN, Infinity, -Infinity, 0, -0, 2 ** -149, -(2 ** -149), 2 ** -127, -(2 ** -127), 2 ** -126],
  ...[3.4028234663852886e38, -3.4028234663852886e38, 1, -1, 88.7, -103.9, 1e-20, -1e20, 0.5],
];

const CANARY = 12345.678;
const NUM_CANARIES = 8;

/** A backend under test and the oracle, on the same memory. */
export class BackendPair {
  readonly heap: DeviceHeap;
  readonly candidate: Backend;
  readonly #oracle: ReferenceBackend;

  /** @param startBytes Where in the memory everything lies: pages before it are never touched, so they cost nothing. */
  constructor(create: (heap: DeviceHeap) => Backend, startBytes = 0) {
    const capBytes = startBytes + 32 * 2 ** 20;
    this.heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
    this.heap.allocate("what lies before", startBytes / 4, "activations");
    this.candidate = create(this.heap);
    this.#oracle = new ReferenceBackend(this.heap);
  }

  /** A span with these values, and canaries behind it. */
  tensor(values: ArrayLike<number>): Span {
    const { byteOffset } = this.heap.allocate("test", values.length + NUM_CANARIES, "activations");
    const span: Span = { byteOffset, length: values.length, dtype: "f32" };
    this.#canaries(span).fill(CANARY);
    this.heap.f32(span).set(values);
    return span;
  }

  ids(values: ArrayLike<number>): Span {
    const span = this.heap.allocate("ids", values.length, "activations", "i32");
    this.heap.i32(span).set(values);
    return span;
  }

  /** What the backend under test makes of `out`. */
  values(out: Span): Float32Array {
    return this.heap.f32(out).slice();
  }

  /** Runs an operation on both backends, from the same contents, and compares each output. */
  compare(what: string, outputs: readonly [Span, Bound][], run: (backend: Backend) => void): void {
    const before = outputs.map(([span]) => this.values(span));
    run(this.candidate);
    const got = outputs.map(([span]) => this.values(span));
    outputs.forEach(([span], i) => {
      assert(this.#canaries(span).every((x) => x === Math.fround(CANARY)), `${what}: wrote behind the end`);
      this.heap.f32(span).set(before[i]);
    });
    run(this.#oracle);
    outputs.forEach(([span, bound], i) => {
      assertWithin(`${what}, output ${i}`, got[i], this.values(span), bound);
      this.heap.f32(span).set(got[i]);
    });
  }

  #canaries(span: Span): Float32Array {
    const byteOffset = span.byteOffset + 4 * span.length;
    return this.heap.f32({ byteOffset, length: NUM_CANARIES, dtype: "f32" });
  }
}

/** Compares element by element; NaN equals NaN, infinities must be equal. */
export function assertWithin(what: string, got: Float32Array, want: Float32Array, bound: Bound): void {
  assertEquals(got.length, want.length);
  for (let i = 0; i < want.length; i++) {
    const allowed = typeof bound === "number" ? bound : bound(i, want[i]);
    const isEqual = allowed === 0 ? Object.is(got[i], want[i]) : got[i] === want[i];
    if (isEqual || (Number.isNaN(got[i]) && Number.isNaN(want[i]))) continue;
    const error = Math.abs(got[i] - want[i]);
    assert(
      error <= allowed,
      `${what}: element ${i} is ${got[i]}, not ${want[i]}; off by ${error}, not ${allowed}`,
    );
  }
}
