import { assertEquals, assertThrows } from "@std/assert";
import { readElements, SOFTMAX } from "../../../kernels/mod.ts";
import { noise } from "../../conformance/backend_pair.ts";
import { setUpBf16 } from "../support/bf16_set_up.ts";

Deno.test("sums over blocks of rows are rounded once, and nothing behind them is touched", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(), rows = 700, cols = 100;
  const x = tensor(noise(rows * cols)), out = tensor(noise(cols + 3, 2)), want = widened(out);
  for (const accumulate of [true, false]) {
    bf16.sumRows({ rows, cols, x, out, accumulate });
    inner.sumRows({ rows, cols, x: widened(x), out: want, accumulate });
    assertEquals(readElements(heap, out), readElements(heap, tensor(heap.f32(want))));
    bf16.copy(out, want);
  }
});

Deno.test("rows that are added to the same row of a table are rounded once, in blocks of columns", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(), rows = 600, cols = 520, length = 20;
  const ids = heap.allocate("ids", rows, "activations", "i32");
  heap.i32(ids).set(Int32Array.from({ length: rows }, (_, r) => r % 7 === 0 ? -1 : r * r % length));
  const x = tensor(noise(rows * cols)), table = tensor(noise(length * cols, 2)), want = widened(table);
  bf16.scatterAdd({ rows, cols, ids, x, table });
  inner.scatterAdd({ rows, cols, ids, x: widened(x), table: want });
  assertEquals(readElements(heap, table), readElements(heap, tensor(heap.f32(want))));
});

Deno.test("a bf16 span that is too short is refused", () => {
  const { bf16, tensor } = setUpBf16(), x = tensor([1, 2, 3]);
  assertThrows(
    () => bf16.row(SOFTMAX, { rows: 2, cols: 2, x, out: x }),
    RangeError,
    "Cannot run softmax: x needs 4",
  );
});
