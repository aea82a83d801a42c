import type { Backend } from "./backend.ts";
import type { DeviceHeap } from "./memory/heap.ts";
import { ReferenceBackend } from "./reference/backend.ts";
import { WIDE_TILE } from "./wasm/gemm.ts";
import { WasmBackend } from "./wasm_backend.ts";

/**
 * A backend on a heap without memory: it takes the workspace that the backend of that name would take, and computes
 * nothing. What a run asks of it is the plan of that run's memory.
 */
export function phantomBackend(name: Backend["name"], heap: DeviceHeap): Backend {
  const real: Backend = name === "wasm" ? new WasmBackend(heap, WIDE_TILE) : new ReferenceBackend(heap);
  const planned: Partial<Backend> = {
    name: real.name,
    heap,
    reserve: (...call) => real.reserve?.(...call),
    matmul: (args) => real.reserve?.("matmul", args),
    attention: (args) => real.reserve?.("attention", args),
    attentionBackward: (args) => real.reserve?.("attentionBackward", args),
    pagedAttention: (args) => real.reserve?.("pagedAttention", args),
    scatterAdd: (args) => real.reserve?.("scatterAdd", args),
  };
  const nothing = () => 0;
  return new Proxy(real, { get: (_, key) => planned[key as keyof Backend] ?? nothing });
}
