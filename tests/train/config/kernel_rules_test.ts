import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../../files/mod.ts";
import {
  checkDocumentKernels,
  checkGpu,
  checkKernels,
  graphProvider,
  hostKernels,
  KERNEL_NAMES,
  kernelsOfRank,
  resolveConfig,
  settleKernels,
  type TrainConfig,
  usesGpu,
} from "../../../train/mod.ts";

const CONTEXT = { numCores: 2 };
const found = (isAvailable: boolean, isSoftware = false) => () =>
  Promise.resolve({ isAvailable, isSoftware, reason: isAvailable ? "a GPU" : "no GPU" });

function configOf(options: Partial<Record<keyof TrainConfig, string | number | boolean>>): TrainConfig {
  return resolveConfig({ dp: 1, ...options }, CONTEXT);
}

Deno.test("kernelsOfRank() takes names in order, the last one for all further ranks", () => {
  const ranks = (kernels: string) => [0, 1, 2].map((rank) => kernelsOfRank({ kernels }, rank));
  assertEquals(ranks("webgpu"), ["webgpu", "webgpu", "webgpu"]);
  assertEquals(ranks("webgpu,wasm"), ["webgpu", "wasm", "wasm"]);
  assertEquals(KERNEL_NAMES.map(hostKernels), ["wasm", "reference", "wasm", "wasm"]);
  assertEquals(KERNEL_NAMES.map(graphProvider), [undefined, undefined, "webgpu", "wasm"]);
  assertEquals([usesGpu({ kernels: "wasm,webgpu" }), usesGpu({ kernels: "onnx" })], [true, false]);
});

Deno.test("checkKernels() refuses names that do not exist, and more names than devices", () => {
  assertThrows(
    () => configOf({ kernels: "cuda" }),
    UsageError,
    "it must be one of wasm, reference, webgpu, onnx, auto, or one of them for each rank",
  );
  assertThrows(() => configOf({ kernels: "webgpu,wasm" }), UsageError, "it names 2 devices and there are 1");
  checkKernels(configOf({ kernels: "wasm,webgpu", pp: 2 }));
});

Deno.test("checkKernels() refuses by name what graphs cannot do", () => {
  const cases: [options: Parameters<typeof configOf>[0], message: string][] = [
    [
      { tp: 2 },
      "Cannot use --tp 2 with --kernels webgpu: devices would exchange tensors inside a graph; use --tp 1",
    ],
    [{ cp: 2 }, "Cannot use --cp 2 with --kernels webgpu"],
    [{ experts: 4, ep: 2 }, "Cannot use --ep 2 with --kernels webgpu"],
    [{ experts: 4 }, "Cannot use --experts 4 with --kernels webgpu"],
    [{ dp: 2, zero: 1 }, "Cannot use --zero 1 with --kernels webgpu"],
    [{ numerics: "exact" }, "Cannot use --numerics exact with --kernels webgpu"],
    [{ precision: "bf16" }, "Cannot use --precision bf16 with --kernels webgpu"],
    [{ recompute: "full" }, "Cannot use --recompute full with --kernels webgpu"],
    [{ pp: 2, schedule: "zero-bubble" }, "Cannot use --schedule zero-bubble with --kernels webgpu"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => configOf({ ...options, kernels: "webgpu" }), UsageError, message);
  }
});

Deno.test("settleKernels() takes the GPU if there is one that can run this, otherwise wasm, and says why", async () => {
  const auto = configOf({ kernels: "auto" });
  const gpu = { kernels: "webgpu", mayFallBack: true, statement: "webgpu kernels on a GPU" };
  assertEquals(await settleKernels(auto, found(true)), gpu);
  const none = { kernels: "wasm", mayFallBack: false, statement: "wasm kernels, as there is no GPU" };
  assertEquals(await settleKernels(auto, found(false)), none);
  const software = await settleKernels(auto, found(true, true));
  assertEquals([software.kernels, software.statement?.includes("a GPU is software, slower than wasm")], [
    "wasm",
    true,
  ]);
  const { kernels, statement } = await settleKernels(configOf({ kernels: "auto", tp: 2 }), found(true));
  assertEquals([kernels, statement?.includes("--tp 2 does not run on a GPU")], ["wasm", true]);
  assertEquals(await settleKernels(configOf({}), found(true)), { kernels: "wasm", mayFallBack: false });
});

Deno.test("checkGpu() fails only where a GPU is wanted and missing", async () => {
  await checkGpu({ kernels: "wasm" }, found(false));
  await checkGpu({ kernels: "webgpu" }, found(true));
  await assertRejects(
    () => checkGpu({ kernels: "webgpu" }, found(false)),
    Error,
    "there is no GPU, or --kernels auto",
  );
});

Deno.test("a run on a GPU has one device unless told otherwise", () => {
  assertEquals(resolveConfig({ kernels: "webgpu" }, CONTEXT).dp, 1);
  assertEquals(resolveConfig({ kernels: "wasm" }, CONTEXT).dp, 2);
});

Deno.test("checkDocumentKernels() refuses a GPU for samples of several documents", () => {
  checkDocumentKernels({ kernels: "wasm,reference" });
  const text = "Cannot use --kernels onnx for samples of several documents";
  assertThrows(() => checkDocumentKernels({ kernels: "wasm,onnx" }), UsageError, text);
});
