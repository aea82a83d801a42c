/**
 * The matmul of onnxruntime-web's wasm backend with one thread, to compare with. Fetched only when asked for.
 *
 * @module
 */

/** A peer that multiplies matrices. */
export interface MatmulPeer {
  readonly name: string;
  /** Makes operands; what is returned runs one product. */
  prepare(m: number, n: number, k: number): () => Promise<unknown>;
}

/** What is used of onnxruntime-web. */
interface OnnxRuntime {
  env: { wasm: { numThreads: number }; logLevel: string };
  InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: Record<string, unknown>): Promise<unknown> }>;
  };
  Tensor: new (type: string, values: Float32Array, dims: number[]) => unknown;
}

// A variable, so that the package is not fetched by who does not measure peers.
const PACKAGE = "npm:onnxruntime-web@1.30.0/wasm";

/** Loads onnxruntime-web and a graph of one MatMul. */
export async function openOnnxMatmul(): Promise<MatmulPeer> {
  const ort = await import(PACKAGE) as OnnxRuntime;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(encodeMatmulModel(), { executionProviders: ["wasm"] });
  return {
    name: "onnxruntime-web wasm",
    prepare(m, n, k) {
      const fill = (length: number) => new Float32Array(length).map((_, i) => (i % 97) / 97 - 0.5);
      const feeds = {
        A: new ort.Tensor("float32", fill(m * k), [m, k]),
        B: new ort.Tensor("float32", fill(k * n), [k, n]),
      };
      return () => session.run(feeds);
    },
  };
}

/** `C = MatMul(A, B)` with free sizes: ONNX IR 8, opset 17, in protobuf's wire format. */
function encodeMatmulModel(): Uint8Array {
  const node = [...text(1, "A"), ...text(1, "B"), ...text(2, "C"), ...text(4, "MatMul")];
  const graph = [
    ...message(1, node),
    ...text(2, "g"),
    ...message(11, value("A")),
    ...message(11, value("B")),
  ];
  const operators = message(8, integer(2, 17));
  return new Uint8Array([
    ...integer(1, 8),
    ...message(7, [...graph, ...message(12, value("C"))]),
    ...operators,
  ]);
}

/** A float32 matrix with free sizes. */
function value(name: string): number[] {
  const dims = [...message(1, text(2, `${name}0`)), ...message(1, text(2, `${name}1`))];
  const tensor = [...integer(1, 1), ...message(2, dims)];
  return [...text(1, name), ...message(2, message(1, tensor))];
}

function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)];
}

function message(field: number, body: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(body.length), ...body];
}

function integer(field: number, n: number): number[] {
  return [...varint(field * 8), ...varint(n)];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}
