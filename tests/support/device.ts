import { type Backend, createBackend, createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";

/** A backend with a memory of its own, in this thread. */
export function makeBackend(name: "wasm" | "reference" = "wasm", capBytes = 64 << 20): Backend {
  return createBackend(name, new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) }));
}

/** A heap that only counts. */
export function phantomBackend(capBytes = 64 << 20): Backend {
  return createBackend("reference", new DeviceHeap({ capBytes }));
}
