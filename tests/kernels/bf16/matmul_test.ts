import { assertEquals } from "@std/assert";
import { readElements } from "../../../kernels/mod.ts";
import { noise } from "../../conformance/backend_pair.ts";
import { setUpBf16 } from "../support/bf16_set_up.ts";

const M = 500, N = 530, K = 540;

Deno.test("blocks of a large product give the bits of one call, rounded once", () => {
  for (const [transposeA, transposeB] of [[false, false], [true, false], [false, true]]) {
    const { heap, inner, bf16, tensor, widened } = setUpBf16(),
      shape = { m: M, n: N, k: K, transposeA, transposeB };
    const a = tensor(noise(M * K)), b = tensor(noise(K * N, 2)), c = tensor(noise(M * N, 3));
    const want = widened(c), rest = { a: widened(a), b: widened(b), c: want };
    bf16.matmul({ ...shape, accumulate: true, a, b, c });
    inner.matmul({ ...shape, accumulate: true, ...rest });
    assertEquals(readElements(heap, c), readElements(heap, tensor(heap.f32(want))));
  }
});

Deno.test("what follows a sum sees all of its terms", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(), shape = { m: M, n: N, k: 2 * K };
  const a = tensor(noise(M * 2 * K)), b = tensor(noise(2 * K * N, 2)), c = tensor(new Float32Array(M * N));
  const bias = tensor(noise(N, 3)), pre = tensor(new Float32Array(M * N), "f32");
  const wanted = { c: widened(c), pre: widened(pre), bias: widened(bias) };
  bf16.matmul({ ...shape, a, b, c, epilogue: { kind: "gelu", bias, pre } });
  inner.matmul({
    ...{ ...shape, a: widened(a), b: widened(b), c: wanted.c },
    epilogue: { kind: "gelu", bias: wanted.bias, pre: wanted.pre },
  });
  assertEquals(readElements(heap, c), readElements(heap, tensor(heap.f32(wanted.c))));
  assertEquals(heap.f32(pre), heap.f32(wanted.pre));
});
