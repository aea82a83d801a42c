import type { AttentionArgs, MatmulArgs } from "./arguments.ts";
import type { Backend } from "./backend.ts";
import type { ScatterAddArgs } from "./row_arguments.ts";
import type { DeviceHeap } from "./heap.ts";
import { ReferenceBackend } from "./reference.ts";
import { WIDE_TILE } from "./wasm/gemm.ts";
import { WasmBackend } from "./wasm_backend.ts";

/**
 * A backend on a heap without memory: it takes the workspace that the backend of that name would take, and computes
 * nothing. What a run asks of it is the plan of that run's memory.
 */
export function phantomBackend(name: Backend["name"], heap: DeviceHeap): Backend {
  const real = name === "wasm" ? new WasmBackend(heap, WIDE_TILE) : new ReferenceBackend(heap);
  const reserve = (args: AttentionArgs) => {
    if (real instanceof WasmBackend) real.reserveAttention(args);
  };
  const reserveProduct = ({ tree }: MatmulArgs) => {
    if (tree !== undefined && real instanceof WasmBackend) real.reserveTree(tree);
  };
  const reserveScatter = (args: ScatterAddArgs) => {
    if (real instanceof WasmBackend) real.reserveScatter(args);
  };
  const done = () => 0;
  return new Proxy<Backend>(real, {
    get(_, key) {
      if (key === "name") return real.name;
      if (key === "heap") return real.heap;
      if (key === "matmul") return reserveProduct;
      if (key === "scatterAdd") return reserveScatter;
      return key === "attention" || key === "attentionBackward" ? reserve : done;
    },
  });
}
