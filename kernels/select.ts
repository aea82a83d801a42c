import type { Backend } from "./backend.ts";
import { createDeviceMemory, type DeviceHeap } from "./memory/heap.ts";
import { phantomBackend } from "./phantom_backend.ts";
import { ReferenceBackend } from "./reference/backend.ts";
import { ModuleBuilder } from "./wasm/builder.ts";
import { load } from "./wasm/loads.ts";
import { splat, type V128 } from "./wasm/values.ts";
import { chooseTile } from "./wasm/choose_tile.ts";
import { WasmBackend } from "./wasm_backend.ts";

/** Names of the backends that can be selected. */
export const BACKEND_NAMES = ["wasm", "reference"] as const;
/** One of {@link BACKEND_NAMES}. */
export type BackendName = typeof BACKEND_NAMES[number];

/** One line of what the kernels find on this machine. */
export interface KernelCapability {
  /** What is probed, in a word or two. */
  readonly name: string;
  /** Whether it is there. */
  readonly isAvailable: boolean;
  /** What it means for the kernels. */
  readonly reason: string;
}

/**
 * Makes the backend of that name on the memory of `heap`; on a phantom heap one that computes nothing.
 *
 * @throws {RangeError} If there is no such backend.
 */
export function createBackend(name: BackendName, heap: DeviceHeap): Backend {
  if (heap.memory === undefined && isKnown(name)) return phantomBackend(name, heap);
  switch (name) {
    case "wasm":
      return new WasmBackend(heap);
    case "reference":
      return new ReferenceBackend(heap);
    default:
      throw new RangeError(`Cannot use kernels "${name}": choose one of ${BACKEND_NAMES.join(", ")}`);
  }
}

function isKnown(name: string): boolean {
  return (BACKEND_NAMES as readonly string[]).includes(name);
}

/** Probes what the wasm kernels need, and times them; at most some 30 ms. */
export function kernelCapabilities(): KernelCapability[] {
  const probes: [name: string, isAvailable: boolean, yes: string, no: string][] = [
    ["shared memory", hasSharedMemory(), "a device's memory can be seen by its peers", "no devices"],
    ["SIMD", compiles((x) => x.add(x)), "128-bit vectors", "use --kernels reference"],
    [
      "relaxed SIMD",
      compiles((x) => x.madd(x, x)),
      "fused multiply-add",
      "use --kernels reference",
    ],
    ["multi-memory", compiles((x) => x, 2), "peers are read without a copy", "no collectives"],
  ];
  const lines = probes.map(([name, isAvailable, yes, no]) => ({
    name,
    isAvailable,
    reason: isAvailable ? yes : `missing: ${no}`,
  }));
  if (lines.some((line) => !line.isAvailable)) return lines;
  const { isWide, line, advice } = describeWasm();
  return [...lines, {
    name: "fast flags",
    isAvailable: isWide,
    reason: isWide ? line : `${line}; ${advice}`,
  }];
}

/** Which code path of the wasm kernels runs in this process. */
export interface WasmPath {
  /** Whether V8 makes 256-bit vectors of pairs of 128 bits. */
  readonly isWide: boolean;
  /** Vectors and speed of the self-test, in a line. */
  readonly line: string;
  /** What makes it faster; undefined if nothing does. */
  readonly advice: string | undefined;
}

/** Says which path the self-test has chosen, and why; runs it if it has not been run. */
export function describeWasm(): WasmPath {
  const { tile, reason } = chooseTile(), isWide = tile.vectors > 2;
  const advice = isWide ? undefined : `run deno with --v8-flags=${FAST_FLAGS} to double the speed`;
  return { isWide, line: reason, advice };
}

/** Flags of V8 that make it turn pairs of 128-bit operations into 256-bit ones. */
export const FAST_FLAGS = "--experimental-wasm-revectorize,--no-wasm-bounds-checks";

function hasSharedMemory(): boolean {
  try {
    return createDeviceMemory(1).buffer instanceof SharedArrayBuffer;
  } catch {
    return false;
  }
}

/** Whether a module with this operation is valid here. */
function compiles(operation: (x: V128) => V128, memories = 1): boolean {
  const module = new ModuleBuilder(memories);
  module.func("probe", { x: "i32" }, (k, { x }) => {
    const value = operation(load.v128(x, { memory: memories - 1 })).add(splat(0));
    k.storeV128(x, value, { memory: memories - 1 });
  });
  return WebAssembly.validate(module.encode());
}
