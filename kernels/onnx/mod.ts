/**
 * Graphs of ONNX operators and their gradients: what a device that is no CPU computes, and what is exported.
 *
 * ```ts
 * import { onnx } from "@tessera/tessera/kernels";
 *
 * const graph = new onnx.Graph(), x = graph.input("x", [2, 3]), weight = graph.input("weight", [3, 4]);
 * const sum = onnx.reduce("ReduceSum", onnx.matmul(x, weight), [0, 1]);
 * const [dWeight] = onnx.gradients(graph, new Map([[sum, graph.constant("one", [1, 1], Float32Array.of(1))]]), [weight]);
 * console.log(dWeight?.shape); // [3, 4]
 * ```
 *
 * @module
 */
export * from "./adapter.ts";
export type { EncodeOptions, ExternalData } from "./encode.ts";
export * from "./gpu_error.ts";
export * from "./graph.ts";
export * from "./open.ts";
export * from "./ops.ts";
export type { OrtTensor, Provider } from "./ort.ts";
export type { GraphProgram, OnnxRuntime, ReadRequest, Tensors } from "./runtime.ts";
export * from "./vjp.ts";
