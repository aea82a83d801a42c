/**
 * Kernels of single elements, and of rows that share a vector of columns. Each touches memory once.
 */
import type { UnaryOp } from "../backend.ts";
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { exp, gelu, geluErf, geluErfGradient, geluGradient, log, tanh, tanhGradient } from "./math.ts";
import type { I32, I32Local, V128 } from "./values.ts";

interface Unary {
  forward(k: Kernel, x: V128): V128;
  /** Gradient of the input, from the input and the gradient of the output. */
  backward(k: Kernel, x: V128, dOut: V128): V128;
}

const UNARY: Record<UnaryOp, Unary> = {
  gelu: { forward: gelu, backward: (k, x, dOut) => geluGradient(k, x).mul(dOut) },
  geluErf: { forward: geluErf, backward: (k, x, dOut) => geluErfGradient(k, x).mul(dOut) },
  // Not max(x, 0), which costs more: NaN and -0 stay themselves.
  relu: {
    forward: (k, x) => x.pmax(k.constant(0)),
    backward: (k, x, dOut) => x.le(k.constant(0)).select(k.constant(0), dOut),
  },
  tanh: { forward: tanh, backward: (k, x, dOut) => tanhGradient(k, x).mul(dOut) },
  exp: { forward: exp, backward: (k, x, dOut) => exp(k, x).mul(dOut) },
  log: { forward: log, backward: (_, x, dOut) => dOut.div(x) },
  square: { forward: square, backward: (k, x, dOut) => twice(k, x.mul(dOut)) },
};

/**
 * Adds to a module, for every unary op, `gelu(x, out, n)`, `geluBackward(x, dOut, dX, n)` and
 * `geluBackwardAdd(...)`, which adds to dX; `add | sub | mul(a, b, out, n)`; `axpy(alpha, x, y, n)`,
 * `scale(alpha, x, n)`, `fill(value, x, n)`, `copy(from, to, n)`; `addBias(x, bias, out, rows, cols)`,
 * `sumRows(x, out, rows, cols)` which adds to out.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addElementwise(module: ModuleBuilder): void {
  for (const [name, op] of Object.entries(UNARY)) addUnary(module, name, op);
  addBinary(module);
  addAxpy(module);
  addBias(module);
  addSumRows(module);
}

/**
 * Adds what a matmul does to a finished block of C, whose rows are `ldc` bytes apart: `biasBlock(c, ldc, rows,
 * cols, bias)`, `biasGeluBlock(u, out, ldc, rows, cols, bias)`: `u += bias`, `out = gelu(u)` where out may be u, and
 * `geluGradientBlock(c, pre, ldc, rows, cols)`: `c *= gelu'(pre)`.
 */
export function addEpilogues(module: ModuleBuilder): void {
  const size = parameters("i32", "ldc", "rows", "cols");
  module.func("biasBlock", { c: "i32", ...size, bias: "i32" }, (k, { c, ldc, rows, cols, bias }) => {
    eachRow(k, rows, [[c, ldc]], () => k.vectors(cols, (v) => v.store(c, v.load(c).add(v.load(bias)))));
  });
  const withOut = { u: "i32", out: "i32", ...size, bias: "i32" } as const;
  module.func("biasGeluBlock", withOut, (k, { u, out, ldc, rows, cols, bias }) => {
    eachRow(k, rows, [[u, ldc], [out, ldc]], () =>
      k.vectors(cols, (v) => {
        const sum = k.let(v.load(u).add(v.load(bias)));
        v.store(u, sum);
        v.store(out, gelu(k, sum));
      }, { isLong: true }));
  });
  module.func("geluGradientBlock", { c: "i32", pre: "i32", ...size }, (k, { c, pre, ldc, rows, cols }) => {
    eachRow(
      k,
      rows,
      [[c, ldc], [pre, ldc]],
      () => k.vectors(cols, (v) => v.store(c, v.load(c).mul(geluGradient(k, v.load(pre)))), { isLong: true }),
    );
  });
}

/** Runs `body` for each row, then moves each pointer by its bytes. */
export function eachRow(k: Kernel, rows: I32, pointers: [I32Local, I32 | number][], body: () => void): void {
  k.for(0, rows, 1, () => {
    body();
    for (const [pointer, bytes] of pointers) pointer.set(pointer.add(bytes));
  });
}

function square(k: Kernel, x: V128): V128 {
  const value = k.let(x);
  return value.mul(value);
}

function twice(k: Kernel, x: V128): V128 {
  const value = k.let(x);
  return value.add(value);
}

function addUnary(module: ModuleBuilder, name: string, op: Unary): void {
  module.func(name, parameters("i32", "x", "out", "n"), (k, { x, out, n }) => {
    k.vectors(n, (v) => v.store(out, op.forward(k, v.load(x))));
  });
  const params = parameters("i32", "x", "dOut", "dX", "n");
  module.func(`${name}Backward`, params, (k, { x, dOut, dX, n }) => {
    k.vectors(n, (v) => v.store(dX, op.backward(k, k.let(v.load(x)), v.load(dOut))));
  });
  module.func(`${name}BackwardAdd`, params, (k, { x, dOut, dX, n }) => {
    k.vectors(n, (v) => v.store(dX, v.load(dX).add(op.backward(k, k.let(v.load(x)), v.load(dOut)))));
  });
}

function addBinary(module: ModuleBuilder): void {
  for (const op of ["add", "sub", "mul"] as const) {
    module.func(op, parameters("i32", "a", "b", "out", "n"), (k, { a, b, out, n }) => {
      k.vectors(n, (v) => v.store(out, v.load(a)[op](v.load(b))));
    });
  }
}

function addAxpy(module: ModuleBuilder): void {
  module.func("axpy", { alpha: "f32", x: "i32", y: "i32", n: "i32" }, (k, { alpha, x, y, n }) => {
    const factor = k.let(alpha.splat());
    k.vectors(n, (v) => v.store(y, v.load(x).madd(factor, v.load(y))));
  });
  module.func("scale", { alpha: "f32", x: "i32", n: "i32" }, (k, { alpha, x, n }) => {
    const factor = k.let(alpha.splat());
    k.vectors(n, (v) => v.store(x, v.load(x).mul(factor)));
  });
  module.func("fill", { value: "f32", x: "i32", n: "i32" }, (k, { value, x, n }) => {
    const all = k.let(value.splat());
    k.vectors(n, (v) => v.store(x, all));
  });
  module.func("copy", parameters("i32", "from", "to", "n"), (k, { from, to, n }) => {
    k.copy(to, from, n.shl(2));
  });
}

function addBias(module: ModuleBuilder): void {
  const params = parameters("i32", "x", "bias", "out", "rows", "cols");
  module.func("addBias", params, (k, { x, bias, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2));
    eachRow(
      k,
      rows,
      [[x, rowBytes], [out, rowBytes]],
      () => k.vectors(cols, (v) => v.store(out, v.load(x).add(v.load(bias)))),
    );
  });
}

/** Rows that are added to the sums while those are in registers; a chain, so the number changes no bits. */
const ROWS_PER_TURN = 4;

function addSumRows(module: ModuleBuilder): void {
  module.func("sumRows", parameters("i32", "x", "out", "rows", "cols"), (k, { x, out, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2)), left = k.i32(rows);
    const turn = (count: number) => {
      const sources = [x];
      while (sources.length < count) sources.push(k.i32(sources.at(-1)!.add(rowBytes)));
      k.vectors(cols, (v) => {
        v.store(out, sources.reduce<V128>((sum, row) => sum.add(v.load(row)), v.load(out)));
      });
      x.set(sources.at(-1)!.add(rowBytes));
      left.set(left.sub(count));
    };
    k.while(left.geS(ROWS_PER_TURN), () => turn(ROWS_PER_TURN));
    k.while(left, () => turn(1));
  });
}
