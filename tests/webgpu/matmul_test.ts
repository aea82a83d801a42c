/**
 * Products on the GPU against the float64 sums of the reference backend: all transposes, batches, and what follows a
 * product. Tolerance: that of the conformance suite of all backends, 4 sqrt(k) + 2 roundings of the magnitudes
 * summed, and for GELU its slope times that, plus 2e-6 for the tanh of the driver.
 */
import {
  createDeviceMemory,
  DeviceHeap,
  type MatmulArgs,
  onnx,
  ReferenceBackend,
} from "../../kernels/mod.ts";
import { assertWithin, EPS, noise } from "../conformance/backend_pair.ts";
import { gpuTest } from "./support/gpu_test.ts";

const SHAPES = [[1, 1, 1], [1, 17, 5], [17, 1, 5], [3, 5, 7], [17, 33, 65], [97, 19, 257], [7, 515, 3]];
const FORMS = [[false, false], [false, true], [true, false], [true, true]];
let opened: Promise<onnx.OnnxRuntime> | undefined;
/** One for all tests: onnxruntime opens the GPU of a thread once. */
const runtime = () => opened ??= onnx.openRuntime("webgpu");

const TANH_ERROR = 2e-6, MEMORY = 2 ** 24;

interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly accumulate?: boolean;
  readonly epilogue?: "bias" | "gelu" | "geluGradient";
}

/** Operands of a product, the same for both sides; elements are between -1 and 1. */
function operands({ m, n, k, batch = 1 }: Product) {
  const sizes = { a: batch * m * k, b: batch * k * n, c: batch * m * n, bias: n, pre: batch * m * n };
  return Object.entries(sizes).map(([name, size], i) => [name, noise(size, i + 1)] as const);
}

function computeHere(product: Product): Float32Array {
  const heap = new DeviceHeap({ capBytes: MEMORY, memory: createDeviceMemory(MEMORY) });
  const spans = Object.fromEntries(
    operands(product).map(([name, values]) => {
      const span = heap.allocate(name, values.length, "activations");
      heap.f32(span).set(values);
      return [name, span];
    }),
  );
  const { bias, pre, ...abc } = spans, { epilogue: kind, ...sizes } = product;
  const epilogue = kind && (kind === "geluGradient" ? { kind, pre } : { kind, bias });
  new ReferenceBackend(heap).matmul({ ...sizes, ...abc, epilogue } as unknown as MatmulArgs);
  return heap.f32(spans.c).slice();
}

async function computeOnGpu(runtime: onnx.OnnxRuntime, product: Product): Promise<Float32Array> {
  const { m, n, k, batch, transposeA, transposeB, accumulate, epilogue } = product, graph = new onnx.Graph();
  const outer = batch === undefined ? [] : [batch];
  const shapes: Record<string, number[]> = {
    ...{ a: [...outer, ...transposeA ? [k, m] : [m, k]], b: [...outer, ...transposeB ? [n, k] : [k, n]] },
    ...{ c: [...outer, m, n], bias: [n], pre: [...outer, m, n] },
  };
  const named = operands(product).map(([name, values]) => {
    return [name, graph.input(name, shapes[name]), runtime.feed(values, shapes[name])] as const;
  });
  const [a, b, c, bias, pre] = named.map(([, value]) => value);
  const turned = (value: onnx.Value, isTurned?: boolean) => isTurned ? onnx.transposeLast(value) : value;
  const sum = onnx.matmul(turned(a, transposeA), turned(b, transposeB)),
    total = accumulate ? onnx.add(c, sum) : sum;
  const shifted = epilogue === "bias" || epilogue === "gelu" ? onnx.add(total, bias) : total;
  const [slope] = epilogue === "geluGradient"
    ? onnx.gradients(graph, new Map([[onnx.gelu(pre), total]]), [pre])
    : [epilogue === "gelu" ? onnx.gelu(shifted) : shifted];
  const program = await runtime.compile(onnx.partOf(graph, [slope!]));
  const results = await program.run(new Map(named.map(([, value, tensor]) => [value, tensor])));
  const into = new Float32Array((batch ?? 1) * m * n);
  await runtime.read([{ tensor: results.get(slope!)!, into }]);
  return into;
}

async function check(products: readonly Product[]): Promise<void> {
  const gpu = await runtime();
  for (const product of products) {
    const sum = EPS * (4 * Math.sqrt(product.k) + 4) * (product.k + 1);
    const bound = product.epilogue?.startsWith("gelu") ? 1.13 * sum + TANH_ERROR * (product.k + 1) : sum;
    const found = await computeOnGpu(gpu, product);
    assertWithin(JSON.stringify(product), found, computeHere(product), bound);
  }
}

const PLAIN = SHAPES.map(([m, n, k]) => ({ m, n, k }));
const FORMED = PLAIN.flatMap((shape) =>
  FORMS.map(([transposeA, transposeB]) => ({ ...shape, transposeA, transposeB }))
);

gpuTest(
  "matmul() on the GPU of all shapes and transposes, set and added",
  () => check([...FORMED, ...FORMED.slice(12, 20).map((product) => ({ ...product, accumulate: true }))]),
);

gpuTest(
  "matmul() on the GPU in batches, in all transposes",
  () =>
    check(FORMS.map(([transposeA, transposeB]) => ({ m: 5, n: 11, k: 9, batch: 3, transposeA, transposeB }))),
);

gpuTest(
  "matmul() on the GPU with each epilogue",
  () =>
    check(
      PLAIN.slice(3, 6).flatMap((shape) =>
        (["bias", "gelu", "geluGradient"] as const).map((epilogue) => ({ ...shape, epilogue }))
      ),
    ),
);
