import { assertEquals, assertThrows } from "@std/assert";
import { readElements } from "../../../kernels/mod.ts";
import { noise } from "../../conformance/backend_pair.ts";
import { setUpBf16 } from "../support/bf16_set_up.ts";

Deno.test("gather() of many rows of a bf16 table, copied or added, to bf16 or float32", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(), rows = 300, cols = 130, length = 9;
  const ids = heap.allocate("ids", rows, "activations", "i32"), table = tensor(noise(length * cols));
  heap.i32(ids).set(Int32Array.from({ length: rows }, (_, r) => r % length - 1));
  for (const dtype of ["bf16", "f32"] as const) {
    for (const accumulate of [false, true]) {
      const out = tensor(noise(rows * cols, 2), dtype), want = widened(out);
      bf16.gather({ rows, cols, ids, table, out, accumulate });
      inner.gather({ rows, cols, ids, table: widened(table), out: want, accumulate });
      assertEquals(readElements(heap, out), readElements(heap, tensor(heap.f32(want), dtype)));
    }
  }
});

Deno.test("an id that the table does not have is refused", () => {
  const { heap, bf16, tensor } = setUpBf16(), x = tensor([1, 2, 3]), sizes = { rows: 1, cols: 1 };
  const ids = heap.allocate("ids", 1, "activations", "i32");
  heap.i32(ids).set([3]);
  assertThrows(() => bf16.gather({ ...sizes, ids, table: x, out: x }), RangeError, "id 3 at row 0");
  assertThrows(() => bf16.scatterAdd({ ...sizes, ids, table: x, x }), RangeError, "id 3 at row 0");
});
