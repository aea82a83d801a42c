import { onnx } from "../../kernels/mod.ts";

/** How the operands are stored. */
export interface Transposes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** `C = op(A) op(B)` with free sizes as a model: MatMul, or Gemm where an operand is transposed. */
export async function encodeGemmModel({ transposeA, transposeB }: Transposes): Promise<Uint8Array> {
  const { encodeModel } = await onnx.openEncoder();
  const graph = new onnx.Graph();
  const a = graph.input("A", transposeA ? ["k", "m"] : ["m", "k"]);
  const b = graph.input("B", transposeB ? ["n", "k"] : ["k", "n"]);
  const attributes = { transA: Number(transposeA), transB: Number(transposeB) };
  const c = transposeA || transposeB
    ? graph.node({ op: "Gemm", inputs: [a, b], shape: ["m", "n"], attributes })
    : onnx.matmul(a, b);
  return encodeModel(onnx.partOf(graph, [c]), { rename: new Map([[c, "C"]]) });
}
