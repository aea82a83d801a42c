import { importPeer } from "./import_peer.ts";

/** A tensor of TensorFlow.js. */
export interface TfTensor {
  readonly shape: number[];
  dataSync(): Float32Array;
  dispose(): void;
}

/** A tensor that is assigned to. */
export interface TfVariable extends TfTensor {
  assign(value: TfTensor): void;
}

type Operand = TfTensor | number;
/** Keeps tensors for the gradient. */
export type Save = (tensors: TfTensor[]) => void;

/** A value, and the gradients of the inputs from that of the value and what was kept. */
interface Differentiable {
  value: TfTensor;
  gradFunc: (dy: TfTensor, saved: TfTensor[]) => TfTensor | TfTensor[];
}

/** What is used of TensorFlow.js. */
export interface Tf {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  tidy<Result>(run: () => Result): Result;
  tensor(values: ArrayLike<number>, shape: number[], dtype?: string): TfTensor;
  variable(value: TfTensor, trainable?: boolean, name?: string): TfVariable;
  zerosLike(x: TfTensor): TfTensor;
  ones(shape: number[]): TfTensor;
  oneHot(ids: TfTensor, depth: number): TfTensor;
  cast(x: TfTensor, dtype: string): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  readonly fused: { matMul(args: { a: TfTensor; b: TfTensor; bias: TfTensor }): TfTensor };
  reshape(x: TfTensor, shape: number[]): TfTensor;
  transpose(x: TfTensor, order?: number[]): TfTensor;
  add(a: Operand, b: Operand): TfTensor;
  sub(a: Operand, b: Operand): TfTensor;
  mul(a: Operand, b: Operand): TfTensor;
  div(a: Operand, b: Operand): TfTensor;
  neg(x: TfTensor): TfTensor;
  log(x: TfTensor): TfTensor;
  sqrt(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  sum(x: TfTensor, dim?: number, keepDims?: boolean): TfTensor;
  mean(x: TfTensor, dim?: number, keepDims?: boolean): TfTensor;
  gather(x: TfTensor, ids: TfTensor): TfTensor;
  scatterND(ids: TfTensor, rows: TfTensor, shape: number[]): TfTensor;
  split(x: TfTensor, parts: number, dim: number): TfTensor[];
  concat(parts: TfTensor[], dim: number): TfTensor;
  customGrad<Inputs extends TfTensor[]>(
    run: (...inputsAndSave: [...Inputs, Save]) => Differentiable,
  ): (...inputs: Inputs) => TfTensor;
  variableGrads(run: () => TfTensor): { value: TfTensor; grads: Record<string, TfTensor> };
}

const VERSION = "4.22.0";

/** Loads TensorFlow.js with its wasm backend, which has one thread: its threaded build starts none outside browsers. */
export async function openTfjs(): Promise<Tf> {
  // It notes on the console that it is not in a browser.
  console.warn = () => {};
  const tf = await importPeer<Tf>(`npm:@tensorflow/tfjs@${VERSION}`);
  await importPeer(`npm:@tensorflow/tfjs-backend-wasm@${VERSION}`);
  await tf.setBackend("wasm");
  if (tf.getBackend() !== "wasm") throw new Error("TensorFlow.js did not start its wasm backend");
  return tf;
}
