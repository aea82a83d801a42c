import {
  type Backend,
  bf16Backend,
  createBackend,
  createDeviceMemory,
  DeviceHeap,
  type DType,
  readElements,
  type Span,
  writeElements,
} from "../../../kernels/mod.ts";

/** A float32 backend, one of bf16 around it, and tensors on their memory. */
export interface Bf16SetUp {
  readonly heap: DeviceHeap;
  readonly inner: Backend;
  readonly bf16: Backend;
  tensor(values: ArrayLike<number>, dtype?: DType): Span;
  /** A float32 tensor of the same values. */
  widened(span: Span): Span;
}

export function setUpBf16(name: "wasm" | "reference" = "wasm"): Bf16SetUp {
  const capBytes = 32 << 20, heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const tensor = (values: ArrayLike<number>, dtype: DType = "bf16") => {
    const span = heap.allocate("x", values.length, "activations", dtype);
    writeElements(heap, span, values);
    return span;
  };
  const inner = createBackend(name, heap), bf16 = bf16Backend(inner);
  return { heap, inner, bf16, tensor, widened: (span) => tensor(readElements(heap, span), "f32") };
}
