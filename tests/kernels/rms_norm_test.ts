import { assertEquals } from "@std/assert";
import {
  createDeviceMemory,
  DeviceHeap,
  ReferenceBackend,
  RMS_NORM,
  RMS_NORM_BACKWARD,
} from "../../kernels/mod.ts";
import { readTree } from "../../tools/source.ts";

Deno.test("ReferenceBackend RMSNorm of 1, 7 and its gradient, which is 0 along x", () => {
  const heap = new DeviceHeap({ capBytes: 1 << 20, memory: createDeviceMemory(1 << 20) });
  const b = new ReferenceBackend(heap), sizes = { rows: 1, cols: 2 };
  const tensor = (...values: number[]) => {
    const span = heap.allocate("x", values.length, "activations");
    heap.f32(span).set(values);
    return span;
  };
  const x = tensor(1, 7), gamma = tensor(5, 10), out = tensor(0, 0), rstd = tensor(0);
  b.row(RMS_NORM, { ...sizes, x, gamma, out, rstd, epsilon: 0 });
  // The mean square is 25.
  assertEquals([...heap.f32(out), ...heap.f32(rstd)], [1, 14, 0.2].map(Math.fround));
  const dX = tensor(0, 0), dGamma = tensor(1, 1), one = tensor(1, 1), dOut = tensor(0.2, 1.4);
  // dOut is x / 5, so that of x is 0: to scale x changes nothing. h = x / 5.
  b.row(RMS_NORM_BACKWARD, { ...sizes, x, gamma: one, rstd, dOut, dX, dGamma });
  assertEquals([...heap.f32(dX)].map((value) => Math.abs(value) < 1e-7), [true, true]);
  assertEquals([...heap.f32(dGamma)], [1.04, 2.96].map(Math.fround));
});

/** Files of the package that name it, in any spelling. */
function filesThatName(pattern: RegExp): string[] {
  const sources = readTree(Deno.cwd(), [".ts"]);
  const layers = sources.filter(({ path, text }) =>
    /^(kernels|nn|strategies|train)\//.test(path) && pattern.test(text)
  );
  return layers.map(({ path }) => path).toSorted();
}

Deno.test("the files that name RMSNorm are those that CONTRIBUTING.md lists for a new kernel", () => {
  const section = /## Add a kernel\n([^]*?)\n## /.exec(Deno.readTextFileSync("CONTRIBUTING.md"))![1];
  const rows = [...section.matchAll(/^\| `(\w+\/[^`]+)`/gm)].map(([, path]) => path);
  const listed = rows.filter((path) => !path.startsWith("tests/")).toSorted();
  // Beside these, layers that are made of it.
  const users = ["nn/decoder_layers.ts", "nn/ops/head_norm.ts"];
  assertEquals(filesThatName(/rms_?norm/i), [...listed, ...users].toSorted());
  assertEquals(listed.length, 4);
  for (const path of rows) assertEquals(/rms_?norm/i.test(Deno.readTextFileSync(path)), true, path);
});
