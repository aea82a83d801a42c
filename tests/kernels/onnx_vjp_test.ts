/**
 * Every rule against central differences of the same graph, on onnxruntime's wasm backend.
 *
 * Bound: with h = 2^-5 the truncation is h^2 / 6 of a third derivative (about 5 here, so 8e-4), and a loss below 8 is
 * rounded to 2^-22, which is 8e-6 after the division by 2 h.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { onnx, RMS_NORM } from "../../kernels/mod.ts";
import { noise } from "../conformance/backend_pair.ts";
import { evaluate } from "../support/onnx.ts";

const STEP = 2 ** -5, BOUND = 2e-3;

type Case = { shapes: number[][]; build: (...inputs: onnx.Value[]) => onnx.Value; above?: number };

const CASES: Record<string, Case> = {
  "Add, stretched": { shapes: [[2, 3], [3]], build: onnx.add },
  "Sub, stretched": { shapes: [[2, 1], [2, 3]], build: onnx.sub },
  "Mul, stretched": { shapes: [[2, 3], [1, 3]], build: onnx.mul },
  Div: { shapes: [[2, 3], [2, 3]], build: onnx.div, above: 1.5 },
  Neg: { shapes: [[4]], build: (x) => onnx.unary("Neg", x) },
  Exp: { shapes: [[4]], build: (x) => onnx.unary("Exp", x) },
  Log: { shapes: [[4]], build: (x) => onnx.unary("Log", x), above: 1.5 },
  Sqrt: { shapes: [[4]], build: (x) => onnx.unary("Sqrt", x), above: 1.5 },
  Erf: { shapes: [[4]], build: (x) => onnx.unary("Erf", x) },
  "Gelu with erf": { shapes: [[4]], build: (x) => onnx.geluErf(x) },
  Tanh: { shapes: [[4]], build: (x) => onnx.unary("Tanh", x) },
  Relu: { shapes: [[4]], build: (x) => onnx.unary("Relu", x), above: 1.5 },
  "Relu of negatives": { shapes: [[4]], build: (x) => onnx.unary("Relu", x), above: -1.5 },
  Gelu: { shapes: [[9]], build: onnx.gelu },
  Softmax: { shapes: [[2, 5]], build: onnx.softmax },
  "MatMul by a table": { shapes: [[2, 3, 4], [4, 5]], build: onnx.matmul },
  "MatMul of batches": { shapes: [[2, 3, 4], [2, 4, 5]], build: onnx.matmul },
  LayerNormalization: {
    shapes: [[2, 6], [6], [6]],
    build: (x, scale, bias) => onnx.layerNorm(onnx.mul(x, 3), scale, { bias, epsilon: 1e-2 }),
  },
  "RMSNorm, made of others": {
    shapes: [[2, 6], [6]],
    build: (x, gamma) => RMS_NORM.lower({ x: onnx.mul(x, 3), gamma, epsilon: 1e-2 }),
  },
  Transpose: { shapes: [[2, 3, 4]], build: (x) => onnx.transpose(x, [2, 0, 1]) },
  Reshape: { shapes: [[2, 6]], build: (x) => onnx.reshape(x, [3, -1]) },
  "Split, one part used": { shapes: [[2, 6]], build: (x) => onnx.splitLast(x, [2, 2, 2])[1] },
  "Split, unequal parts": { shapes: [[2, 6]], build: (x) => onnx.splitLast(x, [3, 1, 2])[2] },
  Gather: {
    shapes: [[4, 3]],
    build: (table) => onnx.gather(table, table.graph.constant("ids", [3], Int32Array.of(2, 0, 2))),
  },
  "ReduceSum without its dim": { shapes: [[2, 3, 2]], build: (x) => onnx.reduce("ReduceSum", x, [1], false) },
  ReduceMean: { shapes: [[2, 3]], build: (x) => onnx.reduce("ReduceMean", x, [-1]) },
  "ReduceMax as a shift": {
    shapes: [[2, 3]],
    build: (x) => {
      const shifted = onnx.sub(x, onnx.reduce("ReduceMax", x, [-1]));
      const sum = onnx.reduce("ReduceSum", onnx.unary("Exp", shifted), [-1]);
      return onnx.sub(shifted, onnx.unary("Log", sum));
    },
  },
};

for (const [name, { shapes, build, above = 0 }] of Object.entries(CASES)) {
  Deno.test(`gradients() of ${name} are those of differences`, async () => {
    const graph = new onnx.Graph(), inputs = shapes.map((shape, i) => graph.input(`x${i}`, shape));
    const result = build(...inputs), size = onnx.countElements(result.shape);
    const weights = graph.constant("weights", result.shape, noise(size, 9)),
      axes = result.shape.map((_, i) => i);
    const loss = onnx.reduce("ReduceSum", onnx.mul(result, weights), axes, false), one = graph.scalar(1);
    const deltas = onnx.gradients(graph, new Map([[loss, one]]), inputs) as onnx.Value[];
    const values = shapes.map((shape, i) => noise(onnx.countElements(shape), i + 1).map((x) => x + above));
    const feeds = () => new Map(inputs.map((input, i) => [input, values[i]]));
    const found = await evaluate(deltas, feeds());
    for (const [i, elements] of values.entries()) {
      for (let j = 0; j < elements.length; j++) {
        const at = elements[j], losses: number[] = [];
        for (const side of [1, -1]) {
          elements[j] = at + side * STEP;
          losses.push((await evaluate([loss], feeds()))[0][0]);
        }
        elements[j] = at;
        const want = (losses[0] - losses[1]) / (2 * STEP);
        assert(Math.abs(found[i][j] - want) < BOUND, `input ${i}, element ${j}: ${found[i][j]}, not ${want}`);
      }
    }
  });
}

Deno.test("gradients() knows what nothing depends on, and refuses an operator without a rule", () => {
  const graph = new onnx.Graph(), x = graph.input("x", [2]), y = graph.input("y", [2]);
  const seeds = (value: onnx.Value) => new Map([[value, graph.constant("one", [2], new Float32Array(2))]]);
  assertEquals(onnx.gradients(graph, seeds(onnx.add(x, 1)), [y]), [undefined]);
  assertThrows(() => onnx.gradients(graph, seeds(onnx.unary("Abs", x)), [x]), TypeError, "differentiate Abs");
});
