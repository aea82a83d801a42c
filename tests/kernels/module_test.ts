import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { createDeviceMemory, DeviceHeap, now, ROW_KERNELS } from "../../kernels/mod.ts";
import { addAttentionRows } from "../../kernels/wasm/attention_rows.ts";
import { addRowKernels } from "../../kernels/rows/wasm.ts";
import { ModuleBuilder } from "../../kernels/wasm/builder.ts";
import { addElementwise, addEpilogues } from "../../kernels/wasm/elementwise.ts";
import { addExactSums } from "../../kernels/wasm/exact_sums.ts";
import { addExperts } from "../../kernels/wasm/experts.ts";
import { NARROW_TILE, WIDE_TILE } from "../../kernels/wasm/gemm.ts";
import { addLoss } from "../../kernels/wasm/loss.ts";
import { instantiateKernels, kernelModule } from "../../kernels/wasm/module.ts";
import { addOptimizer } from "../../kernels/wasm/optimizer.ts";
import { addRotary } from "../../kernels/wasm/rotary.ts";
import { addSpreadLoss } from "../../kernels/wasm/spread_loss.ts";
import { addSumUnits } from "../../kernels/wasm/sum_units.ts";
import { addTreeScatter } from "../../kernels/wasm/tree_scatter.ts";
import { softmaxRow } from "../../kernels/wasm/softmax_row.ts";
import { noise } from "../conformance/backend_pair.ts";

function exportsOf(add: (module: ModuleBuilder) => void): string[] {
  const module = new ModuleBuilder();
  add(module);
  return WebAssembly.Module.exports(new WebAssembly.Module(module.encode())).map((x) => x.name);
}

Deno.test("each file of kernels adds the functions that its documentation names", () => {
  assertEquals(exportsOf(addAttentionRows), [
    "causalSoftmax",
    "causalSoftmaxGradient",
    "windowSoftmax",
    "windowSoftmaxGradient",
    "mergeRows",
    "placeColumn",
    "rowDots",
  ]);
  assertEquals(exportsOf(addEpilogues), ["biasBlock", "biasGeluBlock", "geluGradientBlock"]);
  assertEquals(
    exportsOf(addRowKernels),
    ROW_KERNELS.flatMap(({ name, hasTargets }) => hasTargets ? [name, `${name}Add`] : [name]),
  );
  assertEquals(exportsOf(addRotary), ["rotary", "rotaryBack"]);
  assertEquals(exportsOf(addSumUnits), ["sumUnits"]);
  assertEquals(exportsOf(addTreeScatter), ["scatterTree"]);
  assertEquals(exportsOf(addLoss), [
    ...["crossEntropy", "crossEntropyGradient", "gather", "gatherAdd", "scatterAdd", "firstBadId"],
  ]);
  assertEquals(exportsOf(addSpreadLoss), [
    ...["rowMax", "rowExpSum", "rowPowers", "spreadLoss", "spreadGradient"],
  ]);
  assertEquals(exportsOf(addExperts), [
    ...["route", "routeBackward", "combineRows", "weighRows", "combineRowsAdd", "weighRowsAdd", "choiceDots"],
  ]);
  assertEquals(exportsOf(addExactSums), ["maxAbs", "sumSquaresExact"]);
  assertEquals(exportsOf(addOptimizer), ["adamw", "sum", "sumSquares", "maxAbs", "sumSquaresExact"]);
  const unary = ["gelu", "geluErf", "relu", "tanh", "exp", "log", "square"];
  assertEquals(exportsOf(addElementwise), [
    ...unary.flatMap((op) => [op, `${op}Backward`, `${op}BackwardAdd`]),
    ...["add", "sub", "mul", "axpy", "scale", "fill", "copy", "addBias", "sumRows"],
  ]);
});

Deno.test("kernelModule() is compiled once for each tile", () => {
  assert(kernelModule(NARROW_TILE) === kernelModule(NARROW_TILE));
  assert(kernelModule(NARROW_TILE) !== kernelModule(WIDE_TILE));
});

Deno.test("now() never goes back", () => {
  const first = now();
  assert(now() >= first);
});

const CAP = 1 << 20;

/** Kernels, and a function that makes a tensor in their memory and returns its view and address. */
function device() {
  const heap = new DeviceHeap({ capBytes: CAP, memory: createDeviceMemory(CAP) });
  const tensor = (values: Float32Array) => {
    const span = heap.allocate("test", values.length, "activations");
    heap.f32(span).set(values);
    return { at: span.byteOffset, read: () => heap.f32(span).slice() };
  };
  return { kernels: instantiateKernels(heap, NARROW_TILE), tensor };
}

Deno.test("causalSoftmax() and its gradient mask, normalise and keep what lies behind the keys", () => {
  const { kernels, tensor } = device(), rows = 6, keys = 9, ld = 11, scale = 0.5;
  const scores = noise(rows * ld, 1).map((x) => 4 * x),
    upstream = noise(rows * ld, 2),
    deltas = noise(rows, 3);
  for (const firstVisible of [0, 1, 5, 9]) {
    const p = tensor(scores), lse = tensor(deltas), delta = tensor(deltas);
    const p2 = tensor(scores), dp = tensor(upstream);
    kernels.causalSoftmax(p.at, 4 * ld, rows, keys, firstVisible, scale, lse.at);
    kernels.causalSoftmaxGradient(p2.at, dp.at, 4 * ld, rows, keys, firstVisible, scale, lse.at, delta.at);
    for (let r = 0; r < rows; r++) {
      const visible = Math.min(keys, firstVisible + r), row = scores.subarray(r * ld, r * ld + visible);
      const total = row.reduce((sum, s) => sum + Math.exp(scale * s), 0);
      assertAlmostEquals(lse.read()[r], Math.log(total), 1e-6);
      for (let c = 0; c < ld; c++) {
        const at = r * ld + c, isMasked = c >= visible && c < keys;
        const want = c >= keys ? scores[at] : isMasked ? 0 : Math.exp(scale * scores[at]) / total;
        const gradient = c >= keys ? upstream[at] : want * (upstream[at] - deltas[r]) * scale;
        assertAlmostEquals(p.read()[at], want, 1e-6, `p[${r}][${c}]`);
        assertAlmostEquals(p2.read()[at], want, 1e-6, `p[${r}][${c}] of the gradient`);
        assertAlmostEquals(dp.read()[at], gradient, 1e-6, `dp[${r}][${c}]`);
      }
    }
  }
});

Deno.test("rowDots() multiplies rows of different leading dimensions", () => {
  const { kernels, tensor } = device(),
    a = tensor(noise(40, 1)),
    b = tensor(noise(60, 2)),
    out = tensor(noise(4));
  kernels.rowDots(a.at, 4 * 10, b.at, 4 * 13, 4, 7, out.at);
  out.read().forEach((got, r) => {
    let want = 0;
    for (let c = 0; c < 7; c++) want += a.read()[r * 10 + c] * b.read()[r * 13 + c];
    assertAlmostEquals(got, want, 1e-6);
  });
});

Deno.test("softmaxRow() of no columns has the maximum -Infinity and the sum 0", () => {
  const module = new ModuleBuilder(), memory = createDeviceMemory(CAP);
  module.func("run", { x: "i32", cols: "i32" }, (k, { x, cols }) => {
    const { max, total } = softmaxRow(k, { x, cols });
    return k.f32(max.lane(0)).sub(total.lane(0));
  });
  assertEquals(module.instantiate([memory]).run(4096, 0), -Infinity);
});
