import { assertEquals, assertThrows } from "@std/assert";
import {
  createBackend,
  createDeviceMemory,
  DeviceHeap,
  LAYER_NORM,
  RowKernel,
  type RowSizes,
  SOFTMAX_BACKWARD,
  type Span,
} from "../../kernels/mod.ts";

interface TwiceArgs extends RowSizes {
  readonly x: Span;
  readonly out: Span;
}

const TWICE: RowKernel<TwiceArgs, "out"> = new RowKernel({
  name: "twice",
  operands: { x: ["in", "[rows, cols]"], out: ["out", "[rows, cols]"] },
  inPlace: ["out", "x"],
  reference: ({ x, out }) => x.forEach((value, c) => out[c] = 2 * value),
  emit: (k, { x, out, cols }) => () => k.vectors(cols, (v) => v.store(out, v.load(x).add(v.load(x)))),
  error: () => ({ out: 0 }),
});

function setUp(name: "wasm" | "reference") {
  const heap = new DeviceHeap({ capBytes: 8 << 20, memory: createDeviceMemory(8 << 20) });
  const x = heap.allocate("x", 6, "activations");
  heap.f32(x).set([1, 2, 3, 4, 5, 6]);
  return { heap, x, backend: createBackend(name, heap) };
}

Deno.test("RowKernel tells spans from numbers, in the order of its operands", () => {
  assertEquals(LAYER_NORM.fields.map(({ name }) => name), ["x", "gamma", "beta", "out", "mean", "rstd"]);
  assertEquals([LAYER_NORM.numbers, LAYER_NORM.hasSums, LAYER_NORM.hasTargets], [["epsilon"], false, false]);
});

Deno.test("a kernel that is not in ROW_KERNELS runs on the oracle, and is refused by name where it has no program", () => {
  const { heap, x, backend } = setUp("reference");
  backend.row(TWICE, { rows: 2, cols: 3, x, out: x });
  assertEquals([...heap.f32(x)], [2, 4, 6, 8, 10, 12]);
  const other = setUp("wasm"), args = { rows: 2, cols: 3, x: other.x, out: other.x };
  const refused = "Cannot run twice: backends run the kernels of ROW_KERNELS, add it there";
  assertThrows(() => other.backend.row(TWICE, args), TypeError, refused);
});

Deno.test("a kernel without an ONNX form is refused by name", () => {
  const lower = () => SOFTMAX_BACKWARD.lower({} as Parameters<typeof SOFTMAX_BACKWARD.lower>[0]);
  assertThrows(lower, TypeError, "Cannot run softmaxBackward as an ONNX graph: it has no form there");
});

Deno.test("a kernel of more operands than a call passes is refused", () => {
  const operands = { ...TWICE.form.operands };
  for (let i = 0; i < 9; i++) Object.assign(operands, { [`n${i}`]: "number" });
  const refused = "Cannot make twice: with rows and cols it has 13 parameters, 12 are allowed";
  assertThrows(() => new RowKernel<TwiceArgs, "out">({ ...TWICE.form, operands }), RangeError, refused);
});
