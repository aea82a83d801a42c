/**
 * Opens onnxruntime where it is needed: it is large, and most runs do without.
 *
 * @module
 */
import type { Provider } from "./ort.ts";
import type { OnnxRuntime } from "./runtime.ts";

let opened: OnnxRuntime | undefined;

/**
 * Loads onnxruntime, and opens the GPU if that is where it computes. A thread that has closed its GPU cannot open it
 * again: onnxruntime keeps the one that it had.
 *
 * @throws {GpuError} If there is no GPU, or it cannot be opened.
 */
export async function openRuntime(provider: Provider): Promise<OnnxRuntime> {
  const { OnnxRuntime } = await import("./runtime.ts");
  opened = await OnnxRuntime.open(provider);
  return opened;
}

/** Loads what writes models. */
export function openEncoder(): Promise<typeof import("./encode.ts")> {
  return import("./encode.ts");
}

/** Takes the GPU away from this worker, as a driver that is reset would: for tests of what happens then. */
export function loseGpu(): void {
  opened?.close();
}
