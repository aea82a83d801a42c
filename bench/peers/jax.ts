import { importPeer } from "./import_peer.ts";

/** An array of jax-js; an operation consumes its operands, `ref` keeps one for another use. */
export interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  reshape(shape: number[]): JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  sum(): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** Arrays by name. */
export type JaxTree = Record<string, JaxArray>;

/** What is used of jax-js. */
export interface Jax {
  init(device: string): Promise<unknown>;
  defaultDevice(device: string): unknown;
  blockUntilReady(arrays: unknown): Promise<unknown>;
  jit<Args extends unknown[], Result>(run: (...args: Args) => Result): (...args: Args) => Result;
  valueAndGrad(
    run: (parameters: JaxTree, ...rest: JaxArray[]) => JaxArray,
  ): (parameters: JaxTree, ...rest: JaxArray[]) => [JaxArray, JaxTree];
  readonly tree: { ref(tree: JaxTree): JaxTree };
  readonly nn: {
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { isCausal: boolean }): JaxArray;
    gelu(x: JaxArray, options: { approximate: boolean }): JaxArray;
    logSoftmax(x: JaxArray, dim: number): JaxArray;
  };
  readonly numpy: {
    readonly int32: unknown;
    array(values: Float32Array | Int32Array, options?: { dtype: unknown }): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    transpose(x: JaxArray): JaxArray;
    mean(x: JaxArray, dim: number, options: { keepdims: boolean }): JaxArray;
    square(x: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    reciprocal(x: JaxArray): JaxArray;
    take(x: JaxArray, ids: JaxArray, dim: number): JaxArray;
    split(x: JaxArray, parts: number, dim: number): JaxArray[];
  };
}

/**
 * Loads jax-js with its wasm backend on so many threads.
 *
 * It has no option for that: it starts `hardwareConcurrency` workers where there is a `Worker`, else none.
 */
export async function openJax(threads: number): Promise<Jax> {
  if (threads === 1) Reflect.deleteProperty(globalThis, "Worker");
  else Object.defineProperty(navigator, "hardwareConcurrency", { value: threads, configurable: true });
  const jax = await importPeer<Jax>("npm:@jax-js/jax@0.1.25");
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  return jax;
}
