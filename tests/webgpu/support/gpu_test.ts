/** Tests that need a GPU; without one they are skipped, and say why. */
import { onnx } from "../../../kernels/mod.ts";

const adapter = await onnx.findAdapter();
console.log(adapter.isAvailable ? `WebGPU adapter: ${adapter.reason}` : `skipped: ${adapter.reason}`);

/** A test on the GPU. */
export function gpuTest(name: string, test: () => Promise<void>): void {
  // The driver keeps threads and handles of its own for the life of the process.
  const options = { ignore: !adapter.isAvailable, sanitizeOps: false, sanitizeResources: false };
  Deno.test({ name: adapter.isAvailable ? name : `${name} (${adapter.reason})`, ...options, fn: test });
}
