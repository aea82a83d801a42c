/** The matmul of onnxruntime-web's wasm backend on one thread. Fetched only when this program is run. */
import { operand, type PreparedProduct, timeProduct } from "../matmul/matmul_contestant.ts";
import type { MatmulShape } from "../matmul/matmul_shapes.ts";
import { serve } from "../serve.ts";
import { importPeer } from "./import_peer.ts";
import { encodeGemmModel } from "./onnx_model.ts";

/** What is used of onnxruntime-web. */
interface OnnxRuntime {
  env: { wasm: { numThreads: number }; logLevel: string };
  InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
  Tensor: new (type: string, values: Float32Array, dims: number[]) => { readonly data: Float32Array };
}

interface Session {
  run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: Float32Array }>>;
}

/** Prepares products in onnxruntime-web: one session for each way of storing the operands. */
async function onnxProducts(): Promise<(shape: MatmulShape) => PreparedProduct> {
  const ort = await importPeer<OnnxRuntime>("npm:onnxruntime-web@1.30.0/wasm");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const open = async (transposes: { transposeA: boolean; transposeB: boolean }) =>
    ort.InferenceSession.create(await encodeGemmModel(transposes), { executionProviders: ["wasm"] });
  const plain = await open({ transposeA: false, transposeB: false });
  const left = await open({ transposeA: true, transposeB: false });
  const right = await open({ transposeA: false, transposeB: true });
  return ({ m, n, k, transposeA, transposeB }) => {
    const feeds = {
      A: new ort.Tensor("float32", operand(m * k), transposeA ? [k, m] : [m, k]),
      B: new ort.Tensor("float32", operand(k * n), transposeB ? [n, k] : [k, n]),
    };
    const session = transposeA ? left : transposeB ? right : plain;
    return {
      run: () => session.run(feeds),
      last: async () => (await session.run(feeds)).C.data[m * n - 1],
      dispose: () => {},
    };
  };
}

await serve(async () => {
  const prepare = await onnxProducts();
  return (task: Parameters<typeof timeProduct>[1]) => timeProduct(prepare, task);
});
