/**
 * Arithmetic on the flat memory of one device: the heap, spans, and backends that compute on them.
 *
 * ```ts
 * import { createBackend, createDeviceMemory, DeviceHeap } from "@tessera/tessera/kernels";
 *
 * const capBytes = 64 * 2 ** 20;
 * const heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
 * const backend = createBackend("wasm", heap);
 * const [a, b, c] = ["a", "b", "c"].map((name) => heap.allocate(name, 4, "activations"));
 * heap.f32(a).set([1, 2, 3, 4]);
 * heap.f32(b).set([0, 1, 1, 0]);
 * backend.matmul({ m: 2, n: 2, k: 2, a, b, c });
 * console.log(heap.f32(c)); // [2, 1, 4, 3]
 * ```
 *
 * @module
 */
export * from "./backend.ts";
export * from "./bf16/convert.ts";
export { bf16Backend } from "./bf16/backend.ts";
export * from "./clock.ts";
export * from "./compiled_kernels.ts";
export type { Tile } from "./wasm/gemm.ts";
export type { TileChoice } from "./wasm/choose_tile.ts";
export * from "./exact_norm.ts";
export * from "./memory/heap.ts";
export * as onnx from "./onnx/mod.ts";
export { type PeerLink, WasmPeerLink } from "./peer_link.ts";
export * from "./phantom_backend.ts";
export * from "./reference/backend.ts";
export * from "./rows/mod.ts";
export * from "./select.ts";
export * from "./memory/shared.ts";
export * from "./memory/span.ts";
export { RUN_WORDS } from "./arguments/paged_arguments.ts";
export * from "./arguments/sum_tree.ts";
export * from "./wasm_backend.ts";
export * from "./weights/mod.ts";
