/**
 * What a matmul does to a finished block of C while it is in cache: bias, GELU, the gradient of GELU.
 */
import type { I32Local } from "./values.ts";
import type { Kernel, ModuleBuilder } from "./builder.ts";
import { gelu, geluGradient } from "./math.ts";

const BLOCK = { c: "i32", ldc: "i32", rows: "i32", cols: "i32" } as const;

/**
 * Adds to a module:
 * - `biasBlock(c, ldc, rows, cols, bias)`: `c += bias`,
 * - `biasGeluBlock(c, ldc, rows, cols, bias, out)`: `c += bias`, `out = gelu(c)`; `out` lies as c does and may be c,
 * - `geluGradientBlock(c, ldc, rows, cols, pre)`: `c *= gelu'(pre)`; `pre` lies as c does.
 *
 * Addresses and the leading dimension are in bytes, sizes in elements.
 */
export function addEpilogues(module: ModuleBuilder): void {
  module.func("biasBlock", { ...BLOCK, bias: "i32" }, (k, { c, ldc, rows, cols, bias }) => {
    eachRow(k, rows, ldc, [c], () => k.vectors(cols, (v) => v.store(c, v.load(c).add(v.load(bias)))));
  });
  module.func(
    "biasGeluBlock",
    { ...BLOCK, bias: "i32", out: "i32" },
    (k, { c, ldc, rows, cols, bias, out }) => {
      eachRow(k, rows, ldc, [c, out], () => {
        k.vectors(cols, (v) => {
          const pre = k.let(v.load(c).add(v.load(bias)));
          v.store(c, pre);
          v.store(out, gelu(k, pre));
        });
      });
    },
  );
  module.func("geluGradientBlock", { ...BLOCK, pre: "i32" }, (k, { c, ldc, rows, cols, pre }) => {
    eachRow(k, rows, ldc, [c, pre], () => {
      k.vectors(cols, (v) => v.store(c, v.load(c).mul(geluGradient(k, v.load(pre)))));
    });
  });
}

/** Runs `body` for each row; `pointers` go on by `ld` bytes after each. */
function eachRow(
  k: Kernel,
  rows: I32Local,
  ld: I32Local,
  pointers: readonly I32Local[],
  body: () => void,
): void {
  k.for(0, rows, 1, () => {
    body();
    for (const pointer of pointers) pointer.set(pointer.add(ld));
  });
}
