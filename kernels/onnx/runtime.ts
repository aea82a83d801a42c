/**
 * Runs graphs through onnxruntime-web, on the GPU or on its wasm backend, and moves tensors there and back.
 *
 * What goes in and what comes out may stay on the GPU from run to run; {@link OnnxRuntime.read} is the only way back and
 * counts its bytes. It is also where failures show: a lost GPU accepts work and does nothing.
 *
 * @module
 */
import { findAdapter } from "./adapter.ts";
import { encodeModel } from "./encode.ts";
import { GpuError } from "./gpu_error.ts";
import { Graph, type GraphPart, partOf, type Value } from "./graph.ts";
import { unary } from "./ops.ts";
import { loadOrt, type Ort, type OrtSession, type OrtTensor, type Provider } from "./ort.ts";

/** A tensor to read back, and where its elements go. */
export interface ReadRequest {
  /** Float32 elements. */
  readonly tensor: OrtTensor;
  /** As many elements. */
  readonly into: Float32Array;
}

/** Runs graphs on one GPU, or on the wasm backend of onnxruntime. */
export class OnnxRuntime {
  /** Bytes that {@link read} has brought back since this was last set to 0. */
  bytesRead = 0;
  /** Where graphs run. */
  readonly provider: Provider;
  readonly #ort: Ort;
  #device: GPUDevice | undefined;
  /** What the GPU has reported by itself. */
  #failure: string | undefined;

  private constructor(provider: Provider, ort: Ort) {
    this.provider = provider;
    this.#ort = ort;
  }

  /**
   * Loads onnxruntime-web and asks for the GPU.
   *
   * @throws {GpuError} If there is none, or it cannot be opened.
   */
  static async open(provider: Provider): Promise<OnnxRuntime> {
    const runtime = new OnnxRuntime(provider, await loadOrt(provider));
    if (provider === "webgpu") await runtime.#openGpu();
    return runtime;
  }

  /**
   * Makes a part of a graph ready to run. On the GPU every node must run there: one that did not would move its data
   * to the CPU and back.
   */
  async compile(part: GraphPart): Promise<GraphProgram> {
    const isGpu = this.provider === "webgpu";
    const options = {
      executionProviders: [this.provider],
      ...isGpu ? { preferredOutputLocation: "gpu-buffer" } : {},
      ...isGpu ? { extra: { session: { disable_cpu_ep_fallback: "1" } } } : {},
    };
    const session = await this.#try(() => this.#ort.InferenceSession.create(encodeModel(part), options));
    return new GraphProgram(part, (feeds, fetches) => this.#try(() => session.run(feeds, fetches)));
  }

  /** A tensor that a run reads once; shared memory is copied first. */
  feed(values: Float32Array | Int32Array, dims: readonly number[]): OrtTensor {
    const type = values instanceof Float32Array ? "float32" : "int32";
    return new this.#ort.Tensor(type, values.slice(), dims);
  }

  /** A float32 tensor that runs may read many times: on the GPU in a buffer of its own. */
  upload(values: Float32Array, dims: readonly number[]): OrtTensor {
    const device = this.#device;
    if (device === undefined) return this.feed(values, dims);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size: align(values.byteLength), usage });
    device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
    return this.#ort.Tensor.fromGpuBuffer(buffer, {
      dataType: "float32",
      dims,
      dispose: () => buffer.destroy(),
    });
  }

  /**
   * Brings tensors back, all in one transfer, when all work before is done.
   *
   * @throws {GpuError} If the GPU was lost, or failed at something before.
   */
  async read(requests: readonly ReadRequest[]): Promise<void> {
    if (requests.length === 0) return;
    for (const { into } of requests) this.bytesRead += into.byteLength;
    if (this.#device === undefined) {
      for (const { tensor, into } of requests) into.set(tensor.data as Float32Array);
    } else await this.#readBuffers(this.#device, requests).catch((error) => this.#failLost(error));
    if (this.#failure !== undefined) throw new GpuError(this.#failure);
  }

  /** Gives the GPU back, with all buffers: drivers do not take it well when a worker ends without. */
  close(): void {
    this.#device?.destroy();
    this.#failure ??= "the GPU was lost";
  }

  async #readBuffers(device: GPUDevice, requests: readonly ReadRequest[]): Promise<void> {
    const size = requests.reduce((sum, { into }) => sum + align(into.byteLength), 0);
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = device.createCommandEncoder();
    let offset = 0;
    for (const { tensor, into } of requests) {
      encoder.copyBufferToBuffer(tensor.gpuBuffer, 0, staging, offset, into.byteLength);
      offset += align(into.byteLength);
    }
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = staging.getMappedRange();
    offset = 0;
    for (const { into } of requests) {
      into.set(new Float32Array(bytes, offset, into.length));
      offset += align(into.byteLength);
    }
    staging.destroy();
  }

  /** The device is that of onnxruntime, which opens it with its first session. */
  async #openGpu(): Promise<void> {
    const { isAvailable, reason } = await findAdapter();
    if (!isAvailable) throw new GpuError(reason);
    const graph = new Graph();
    await this.compile(partOf(graph, [unary("Neg", graph.input("x", [1]))]));
    const device = this.#device = await this.#ort.env.webgpu.device;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failure ??= firstLine((event as GPUUncapturedErrorEvent).error.message);
    });
    device.lost.then(({ message }) => this.#failure ??= `the GPU was lost: ${firstLine(message)}`);
  }

  #failLost(error: unknown): never {
    const message = firstLine(error instanceof Error ? error.message : `${error}`);
    throw new GpuError(this.#failure ?? `the GPU was lost (${message})`);
  }

  async #try<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw new GpuError(this.#failure ?? firstLine(error instanceof Error ? error.message : `${error}`));
    }
  }
}

/** Values and the tensors that stand for them in a run. */
export type Tensors = ReadonlyMap<Value, OrtTensor>;

/** A part of a graph that is ready to run. */
export class GraphProgram {
  readonly #part: GraphPart;
  readonly #run: OrtSession["run"];

  /** Runs `part` by its names. */
  constructor(part: GraphPart, run: OrtSession["run"]) {
    this.#part = part;
    this.#run = run;
  }

  /**
   * Computes the outputs, or those of `wanted`, from tensors for all inputs.
   *
   * @throws {GpuError} If an operator fails.
   */
  async run(feeds: Tensors, wanted: readonly Value[] = this.#part.outputs): Promise<Map<Value, OrtTensor>> {
    const named = Object.fromEntries(this.#part.inputs.map((value) => [value.name, feeds.get(value)!]));
    const results = await this.#run(named, wanted.map(({ name }) => name));
    return new Map(wanted.map((value) => [value, results[value.name]]));
  }
}

/** Buffers of a GPU are multiples of four bytes, and no smaller than what a shader binds. */
function align(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

/** Messages of drivers are long: what matters stands in front. */
function firstLine(message: string): string {
  const [line = "unknown"] = message.split("\n").map((part) => part.trim()).filter((part) => part !== "");
  return line.slice(0, 200);
}
