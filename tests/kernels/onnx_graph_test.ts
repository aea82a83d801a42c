import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { onnx } from "../../kernels/mod.ts";
import { bytesOf, encodeModel, IR_VERSION, OPSET } from "../../kernels/onnx/encode.ts";
import { loadOrt } from "../../kernels/onnx/ort.ts";
import { OnnxRuntime } from "../../kernels/onnx/runtime.ts";
import { evaluate, runtime } from "../support/onnx.ts";

Deno.test("partOf() takes the nodes that outputs need, up to what is given", () => {
  const graph = new onnx.Graph(), x = graph.input("x", [2]), y = graph.input("y", [2]);
  const sum = onnx.add(x, y), product = onnx.mul(sum, x);
  onnx.unary("Exp", product);
  const whole = onnx.partOf(graph, [product]);
  assertEquals(whole.nodes.map(({ op }) => op), ["Add", "Mul"]);
  assertEquals(whole.inputs, [x, y]);
  const rest = onnx.partOf(graph, [product], (value) => value === sum);
  assertEquals([rest.nodes.map(({ op }) => op), rest.inputs], [["Mul"], [sum, x]]);
});

Deno.test("Graph gives names once, and equal scalars and sizes one value", () => {
  const graph = new onnx.Graph(), x = graph.input("x", [2]);
  assertEquals([graph.input("x", [1]).name, onnx.add(x, 1).name, onnx.add(x, 2).name], [
    "x_1",
    "Add",
    "Add_1",
  ]);
  assertEquals([graph.scalar(2) === graph.scalar(2), graph.sizes([1, 2]) === graph.sizes([1, 2])], [
    true,
    true,
  ]);
  assertThrows(() => onnx.numberOf("batch"), TypeError, 'dim "batch"');
});

Deno.test("operators know the shapes of what they make, also of named dims", () => {
  const graph = new onnx.Graph(), x = graph.input("x", ["batch", "steps", 6]);
  assertEquals(onnx.reshape(x, [0, 0, 2, 3]).shape, ["batch", "steps", 2, 3]);
  assertEquals(onnx.reshape(graph.input("n", ["steps"]), [1, -1]).shape, [1, "steps"]);
  assertEquals(onnx.matmul(x, graph.input("w", [6, 4])).shape, ["batch", "steps", 4]);
  assertEquals(onnx.concat([x, x], 1, "all").shape, ["batch", "all", 6]);
  assertEquals(onnx.reduce("ReduceSum", x, [-1], false).shape, ["batch", "steps"]);
  assertThrows(() => onnx.matmul(x, graph.input("w", [5, 4])), RangeError, "inner dims must be equal");
  assertThrows(() => onnx.add(x, graph.input("b", [5])), RangeError, "dims must be equal or 1");
});

Deno.test("encodeModel() states opset and IR version, free dims, and where weights are", () => {
  const graph = new onnx.Graph(), x = graph.input("x", ["batch", 2]);
  const weight = graph.constant("weight", [2, 1], Float32Array.of(3, 4)), y = onnx.matmul(x, weight);
  const place = { location: "model.data", offset: 4096, length: 8 };
  const bytes = encodeModel(onnx.partOf(graph, [y]), {
    rename: new Map([[y, "result"]]),
    externalize: () => place,
  });
  const model = fromBinary(ModelProtoSchema, bytes), [initializer] = model.graph!.initializer;
  assertEquals([model.irVersion, model.opsetImport[0].version], [BigInt(IR_VERSION), BigInt(OPSET)]);
  assertEquals(model.graph!.input[0].name, "x");
  assertEquals(model.graph!.output[0].name, "result");
  assertEquals(initializer.externalData.map(({ key, value }) => `${key} ${value}`), [
    "location model.data",
    "offset 4096",
    "length 8",
  ]);
  assertEquals(initializer.rawData.length, 0);
  assertEquals(bytesOf(Float32Array.of(1)), Uint8Array.of(0, 0, 128, 63));
});

Deno.test("OnnxRuntime runs a graph, and counts what it reads", async () => {
  const graph = new onnx.Graph(), x = graph.input("x", [3]);
  runtime.bytesRead = 0;
  const [twice, sum] = await evaluate(
    [onnx.mul(x, 2), onnx.reduce("ReduceSum", x, [0])],
    new Map([[x, Float32Array.of(1, 2, 4)]]),
  );
  assertEquals([[...twice], [...sum], runtime.bytesRead], [[2, 4, 8], [7], 16]);
});

Deno.test("OnnxRuntime says in one line what failed", async () => {
  const graph = new onnx.Graph(),
    x = graph.input("x", [3]),
    program = await runtime.compile(onnx.partOf(graph, [onnx.mul(x, 2)]));
  const wrong = program.run(new Map([[x, runtime.feed(new Float32Array(2), [2])]]));
  const error = await assertRejects(() => wrong, onnx.GpuError, "invalid dimensions");
  assert(!error.message.includes("\n"), error.message);
});

Deno.test("OnnxRuntime that was closed fails at the next read, as one whose GPU was lost", async () => {
  const lost = await OnnxRuntime.open("wasm"), graph = new onnx.Graph(), x = graph.input("x", [1]);
  const y = onnx.mul(x, 2), program = await lost.compile(onnx.partOf(graph, [y]));
  lost.close();
  const results = await program.run(new Map([[x, lost.upload(Float32Array.of(1), [1])]]));
  const read = () => lost.read([{ tensor: results.get(y)!, into: new Float32Array(1) }]);
  await assertRejects(read, onnx.GpuError, "the GPU was lost");
});

Deno.test("loadOrt() leaves the Worker of Deno in its place", async () => {
  const { Worker } = globalThis, ort = await loadOrt("wasm"), graph = new onnx.Graph();
  await ort.InferenceSession.create(
    encodeModel(onnx.partOf(graph, [onnx.mul(graph.input("x", [1]), 2)])),
    {},
  );
  assertEquals(globalThis.Worker, Worker);
});

Deno.test("findAdapter() names the adapter, or says what to install", async () => {
  const { isAvailable, reason } = await onnx.findAdapter();
  assertEquals(reason.includes("no WebGPU adapter: install a Vulkan driver"), !isAvailable);
});
