/**
 * Kernels of whole tensors: the AdamW update, and sums in float64.
 */
import type { AdamWArgs } from "../arguments/product_arguments.ts";
import { type Kernel, type Kernels, type ModuleBuilder, parameters } from "./builder.ts";
import { addExactSums } from "./exact_sums.ts";
import { type F64, type V128, type V128Local } from "./values.ts";
import type { Vectors } from "./walk.ts";

/**
 * Adds to a module: `adamw(parameter, gradient, m, v, n, gradientScale, beta1, rest1, beta2, rest2, inverse2, rate,
 * epsilon, decay)` with `rest = 1 - beta`, `inverse2 = 1 / correction2`, `rate = learningRate / correction1` and
 * `decay = learningRate * weightDecay`; `sum(x, n)` and `sumSquares(x, n)`, which return a float64, and what
 * {@link addExactSums} adds.
 */
export function addOptimizer(module: ModuleBuilder): void {
  addAdamW(module);
  addSum(module, "sum", (sum, x) => sum.addF64(x));
  // The product of two float32 is exact in float64, so fused or not makes no difference.
  addSum(module, "sumSquares", (sum, x) => x.maddF64(x, sum));
  addExactSums(module);
}

/** Calls `adamw`. */
export function runAdamW(kernels: Kernels, a: AdamWArgs): void {
  const { beta1, beta2 } = a;
  kernels.adamw(
    a.parameter.byteOffset,
    a.gradient.byteOffset,
    a.m.byteOffset,
    a.v.byteOffset,
    a.parameter.length,
    a.gradientScale,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
    1 / a.correction2,
    a.learningRate / a.correction1,
    a.epsilon,
    a.learningRate * a.weightDecay,
  );
}

function addAdamW(module: ModuleBuilder): void {
  const params = {
    ...parameters("i32", "parameter", "gradient", "m", "v", "n"),
    ...parameters(
      "f32",
      "gradientScale",
      "beta1",
      "rest1",
      "beta2",
      "rest2",
      "inverse2",
      "rate",
      "epsilon",
      "decay",
    ),
  };
  module.func("adamw", params, (k, args) => {
    const { parameter, gradient, m, v, n } = args;
    const beta1 = k.let(args.beta1.splat()), rest1 = k.let(args.rest1.splat());
    const beta2 = k.let(args.beta2.splat()), rest2 = k.let(args.rest2.splat());
    const inverse2 = k.let(args.inverse2.splat()), rate = k.let(args.rate.splat());
    const epsilon = k.let(args.epsilon.splat()), decay = k.let(args.decay.splat());
    const gradientScale = k.let(args.gradientScale.splat());
    k.vectors(n, (lanes) => {
      const g = k.let(lanes.load(gradient).mul(gradientScale));
      const first = k.let(lanes.load(m).madd(beta1, g.mul(rest1)));
      const second = k.let(lanes.load(v).madd(beta2, g.mul(g).mul(rest2)));
      const update = first.mul(rate).div(second.mul(inverse2).sqrt().add(epsilon));
      const p = k.let(lanes.load(parameter));
      lanes.store(parameter, p.sub(p.madd(decay, update)));
      lanes.store(m, first);
      lanes.store(v, second);
    });
  });
}

function addSum(module: ModuleBuilder, name: string, combine: (sum: V128, x: V128) => V128): void {
  module.func(name, { x: "i32", n: "i32" }, (k, { x, n }) => {
    const sums = Array.from({ length: 4 }, () => k.v128());
    k.vectors(n, (v) => {
      const value = k.let(v.valid(v.load(x)));
      addHalves(k, { v, value, sums, combine });
    });
    return total(k, sums);
  });
}

interface Halves {
  v: Vectors;
  value: V128;
  sums: V128Local[];
  combine: (sum: V128, x: V128) => V128;
}

function addHalves(k: Kernel, { v, value, sums, combine }: Halves): void {
  const halves = [value, value.shuffle(value, [2, 3, 0, 1])];
  halves.forEach((half, i) => {
    const sum = sums[2 * v.part + i];
    sum.set(combine(sum, k.let(half.promoteLow())));
  });
}

function total(k: Kernel, sums: readonly V128[]): F64 {
  const all = k.let(sums[0].addF64(sums[1]).addF64(sums[2].addF64(sums[3])));
  return all.laneF64(0).add(all.laneF64(1));
}
