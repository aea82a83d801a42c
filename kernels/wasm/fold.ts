import type { Kernel } from "./builder.ts";
import type { V128, V128Local } from "./values.ts";
import type { Vectors } from "./walk.ts";

/**
 * A running sum or maximum over a walk (`k.vectors`): eight partial results, one per lane of a pair of vectors,
 * folded by a fixed tree. Its bits depend on the number of elements only, not on where they lie.
 *
 * Making one emits its initialisation, so make it where the row starts.
 */
export class Fold {
  readonly #k: Kernel;
  readonly #parts: readonly [V128Local, V128Local];
  readonly #combine: (a: V128, b: V128) => V128;
  readonly #neutral: number;

  constructor(k: Kernel, kind: "sum" | "max") {
    this.#k = k;
    this.#neutral = kind === "sum" ? 0 : -Infinity;
    const neutral = k.constant(this.#neutral);
    this.#parts = [k.let(neutral), k.let(neutral)];
    this.#combine = kind === "sum" ? (a, b) => a.add(b) : (a, b) => a.pmax(b);
  }

  /** Takes the lanes of `value` that count; a maximum leaves NaN out. */
  add(v: Vectors, value: V128): void {
    const part = this.#parts[v.part];
    part.set(this.#combine(part, v.valid(value, this.#neutral)));
  }

  /** Takes `a * b`: fused into a sum. */
  addProduct(v: Vectors, a: V128, b: V128): void {
    if (v.lanes < 4) return this.add(v, a.mul(b));
    const part = this.#parts[v.part];
    part.set(a.madd(b, part));
  }

  /** The result in all four lanes. */
  result(): V128 {
    const both = this.#k.let(this.#combine(this.#parts[0], this.#parts[1]));
    const pairs = this.#k.let(this.#combine(both, both.shuffle(both, [2, 3, 0, 1])));
    const all = this.#combine(pairs, pairs.shuffle(pairs, [1, 0, 3, 2]));
    // By way of a scalar: V8 would widen the whole fold to use its result in a loop that it widens.
    return this.#k.let(this.#k.f32(all.lane(0)).splat());
  }
}
