/**
 * The matmul of onnxruntime-web: of its wasm backend with one thread to compare with, and of its WebGPU backend, which is what
 * `--kernels webgpu` runs on. Fetched only when asked for.
 *
 * @module
 */
import { onnx } from "../kernels/mod.ts";

/** A peer that multiplies matrices. */
export interface MatmulPeer {
  readonly name: string;
  /** Makes operands; what is returned runs one product and waits for it. */
  prepare(m: number, n: number, k: number): Promise<() => Promise<unknown>>;
}

/** Loads onnxruntime-web. */
export async function openOnnxMatmul(provider: onnx.Provider): Promise<MatmulPeer> {
  const runtime = await onnx.openRuntime(provider), first = new Float32Array(1);
  return {
    name: provider === "wasm" ? "onnxruntime-web wasm" : "webgpu",
    async prepare(m, n, k) {
      const graph = new onnx.Graph(), a = graph.input("A", [m, k]), b = graph.input("B", [k, n]);
      const c = onnx.matmul(a, b), program = await runtime.compile(onnx.partOf(graph, [c]));
      const fill = (length: number) => new Float32Array(length).map((_, i) => (i % 97) / 97 - 0.5);
      const feeds = new Map([[a, runtime.upload(fill(m * k), [m, k])], [
        b,
        runtime.upload(fill(k * n), [k, n]),
      ]]);
      return async () => {
        const tensor = (await program.run(feeds)).get(c)!;
        // The GPU computes when it is asked for a result; of which one element will do.
        if (provider === "webgpu") await runtime.read([{ tensor, into: first }]);
        tensor.dispose();
      };
    },
  };
}
