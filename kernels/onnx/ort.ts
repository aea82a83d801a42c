/**
 * The only place that loads onnxruntime-web, and what is used of it.
 *
 * @module
 */

/** Where onnxruntime computes. */
export type Provider = "wasm" | "webgpu";

/** A tensor of onnxruntime: its elements are here, or in a buffer of the GPU. */
export interface OrtTensor {
  /** Sizes of the dims. */
  readonly dims: readonly number[];
  /** The elements, if they are here. */
  readonly data: Float32Array | Int32Array | BigInt64Array;
  /** The buffer, if they are on the GPU. */
  readonly gpuBuffer: GPUBuffer;
  /** Gives a buffer back that onnxruntime made. */
  dispose(): void;
}

/** A graph that is ready to run. */
export interface OrtSession {
  /** Runs it; `fetches` names the outputs that are wanted. */
  run(feeds: Record<string, OrtTensor>, fetches?: readonly string[]): Promise<Record<string, OrtTensor>>;
  /** Gives its memory back. */
  release(): Promise<void>;
}

/** What is used of onnxruntime-web. */
export interface Ort {
  /** Settings, which must be made before the first session. */
  readonly env: {
    readonly wasm: { numThreads: number };
    readonly webgpu: { readonly device: Promise<GPUDevice> };
    logLevel: string;
  };
  /** Makes sessions. */
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  /** Makes tensors. */
  readonly Tensor: {
    new (type: string, values: Float32Array | Int32Array | BigInt64Array, dims: readonly number[]): OrtTensor;
    fromGpuBuffer(
      buffer: GPUBuffer,
      options: { dataType: string; dims: readonly number[]; dispose: () => void },
    ): OrtTensor;
  };
}

// Variables, so that the package is not fetched by who does not use it.
const PACKAGES: Record<Provider, string> = {
  wasm: "npm:onnxruntime-web@1.30.0/wasm",
  webgpu: "npm:onnxruntime-web@1.30.0/webgpu",
};

/** Loads onnxruntime-web. Its WebGPU build has the wasm provider, too. */
export async function loadOrt(provider: Provider): Promise<Ort> {
  // It builds URLs from the origin of the location, which in a worker of Deno is the text "null".
  if ("location" in globalThis) {
    Object.defineProperty(globalThis, "location", { value: undefined, configurable: true });
  }
  const ort = await import(PACKAGES[provider]) as Ort;
  // A device has one core; a pool of threads would fight for it.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal";
  const { env, Tensor, InferenceSession } = ort;
  return {
    env,
    Tensor,
    InferenceSession: {
      create: (model, options) => keepWorker(() => InferenceSession.create(model, options)),
    },
  };
}

/** It takes Deno for Node.js, and puts Node's `Worker` in the place of Deno's when it starts. */
async function keepWorker<T>(act: () => Promise<T>): Promise<T> {
  const { Worker } = globalThis;
  try {
    return await act();
  } finally {
    globalThis.Worker = Worker;
  }
}
