import { onnx } from "../../kernels/mod.ts";
import type { MatmulRecord } from "./matmul.ts";
import { operand, type PreparedProduct, timeProduct } from "./matmul_contestant.ts";
import { wasmProducts } from "./matmul_program.ts";
import { type MatmulShape, operationsOf, SQUARES } from "./matmul_shapes.ts";
import { median } from "../statistics.ts";

/** Measurements; few, as software that acts as a GPU takes a second for the largest product. */
const REPETITIONS = 3;

/** Measures square products on the GPU, as `--kernels webgpu` computes them, in turn with the wasm kernels. */
export async function* benchWebgpuMatmul(
  shapes: readonly MatmulShape[] = SQUARES,
): AsyncGenerator<MatmulRecord> {
  const contestants = { wasm: wasmProducts(), webgpu: await webgpuProducts() };
  for (const shape of shapes) {
    const times = new Map<string, number[]>(), operations = operationsOf(shape);
    for (let i = 0; i < REPETITIONS; i++) {
      for (const [name, prepare] of Object.entries(contestants)) {
        const { ms } = await timeProduct(prepare, { ...shape, count: 1 });
        times.set(name, [...times.get(name) ?? [], ...ms]);
      }
    }
    for (const [backend, all] of times) {
      const ms = median(all);
      yield { bench: "matmul", backend, ...shape, ms, gflops: operations / ms / 1e6 };
    }
  }
}

/** Prepares products whose operands and results stay on the GPU. */
async function webgpuProducts(): Promise<(shape: MatmulShape) => PreparedProduct> {
  const runtime = await onnx.openRuntime("webgpu"), element = new Float32Array(1);
  return ({ m, n, k }) => {
    const graph = new onnx.Graph(), a = graph.input("A", [m, k]), b = graph.input("B", [k, n]);
    const c = onnx.matmul(a, b), program = runtime.compile(onnx.partOf(graph, [c]));
    const feeds = new Map([
      [a, runtime.upload(operand(m * k), [m, k])],
      [b, runtime.upload(operand(k * n), [k, n])],
    ]);
    const run = async () => {
      const tensor = (await (await program).run(feeds)).get(c)!;
      // The GPU computes when it is asked for a result; of which one element will do.
      await runtime.read([{ tensor, into: element }]);
      tensor.dispose();
      return element[0];
    };
    return { run, last: run, dispose: () => feeds.forEach((tensor) => tensor.dispose()) };
  };
}
