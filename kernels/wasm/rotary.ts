/**
 * Rotary positions: pairs of elements of a head are turned by angles that its row names.
 */
import type { RotaryArgs } from "../arguments/row_arguments.ts";
import { type Kernels, type ModuleBuilder, parameters } from "./builder.ts";

/**
 * Adds `rotary(x, angles, out, rows, heads, half)` and `rotaryBack(...)`, which turns the other way: heads of `2 half`
 * elements, whose angles are the same for all heads of a row.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addRotary(module: ModuleBuilder): void {
  addTurn(module, "rotary", false);
  addTurn(module, "rotaryBack", true);
}

function addTurn(module: ModuleBuilder, name: string, isBack: boolean): void {
  const params = parameters("i32", "x", "angles", "out", "rows", "heads", "half");
  module.func(name, params, (k, { x, angles, out, rows, heads, half }) => {
    const halfBytes = k.i32(half.shl(2)), sines = k.i32(0), high = k.i32(0), outHigh = k.i32(0);
    k.for(0, rows, 1, () => {
      sines.set(angles.add(halfBytes));
      k.for(0, heads, 1, () => {
        high.set(x.add(halfBytes));
        outHigh.set(out.add(halfBytes));
        k.vectors(half, (v) => {
          const a = k.let(v.load(x)), b = k.let(v.load(high));
          const cos = k.let(v.load(angles)), sin = k.let(v.load(sines));
          const [left, right] = [a.mul(cos), b.mul(cos)];
          v.store(out, isBack ? b.madd(sin, left) : b.nmadd(sin, left));
          v.store(outHigh, isBack ? a.nmadd(sin, right) : a.madd(sin, right));
        });
        x.set(high.add(halfBytes));
        out.set(outHigh.add(halfBytes));
      });
      angles.set(sines.add(halfBytes));
    });
  });
}

/** Calls the direction that the arguments ask for. */
export function runRotary(
  kernels: Kernels,
  { rows, heads, headDim, x, angles, out, isBack }: RotaryArgs,
): void {
  const program = isBack ? kernels.rotaryBack : kernels.rotary;
  program(x.byteOffset, angles.byteOffset, out.byteOffset, rows, heads, headDim / 2);
}
