import { assertEquals, assertThrows } from "@std/assert";
import {
  type AttentionInputs,
  attentionSizes,
  columnsByTensor,
  fusedInputs,
  separateInputs,
  type Shape,
  Tape,
} from "../../../nn/mod.ts";
import { phantomBackend } from "../../support/device.ts";

function setUp() {
  const tape = new Tape({ backend: phantomBackend(), training: false });
  return (name: string, shape: Shape) => tape.input(name, shape);
}

Deno.test("fusedInputs() finds q, k and v behind one another, of as many heads as fit", () => {
  const tensor = setUp()("qkv", [2, 3, 24]), inputs = fusedInputs(tensor, { headDim: 3, group: 2 });
  assertEquals([inputs.q, inputs.k, inputs.v].map(({ column }) => column), [0, 12, 18]);
  assertEquals(attentionSizes(inputs), { batch: 2, tokens: 3, heads: 4, kvHeads: 2, headDim: 3 });
  const [columns] = columnsByTensor(inputs).values();
  assertEquals(columns.map(({ width }) => width), [12, 6, 6]);
});

Deno.test("separateInputs() counts the heads of each tensor", () => {
  const input = setUp(), [q, k, v] = [8, 4, 4].map((width, i) => input("qkv"[i], [2, 3, width]));
  const inputs = separateInputs({ q, k, v }, 2);
  assertEquals(attentionSizes(inputs), { batch: 2, tokens: 3, heads: 4, kvHeads: 2, headDim: 2 });
  assertEquals(columnsByTensor(inputs).size, 3);
});

Deno.test("inputs that do not fit each other are refused by name", () => {
  const input = setUp(),
    qkv = input("qkv", [1, 2, 12]),
    other = input("k", [1, 3, 12]),
    x = input("x", [2, 3]);
  const view = (column: number) => ({ tensor: qkv, column }), sizes = { heads: 2, kvHeads: 2, headDim: 2 };
  const inputs: AttentionInputs = { ...sizes, q: view(0), k: view(4), v: view(8) };
  const refused: [() => unknown, string][] = [
    [
      () => fusedInputs(qkv, { headDim: 3, group: 1 }),
      "Cannot split qkv [1, 2, 12] into q, k and v with heads of 3: the last dim must be a multiple of 3 x 3",
    ],
    [() => fusedInputs(qkv, { headDim: 3, group: 4 }), "must be a multiple of 6 x 3"],
    [() => fusedInputs(x, { headDim: 1, group: 1 }), "Cannot split x [2, 3] into q, k and v"],
    [() => separateInputs({ q: qkv, k: qkv, v: x }, 5), "Cannot split qkv [1, 2, 12] into heads of 5"],
    [
      () => attentionSizes({ ...inputs, kvHeads: 3 }),
      "Cannot share 3 heads of keys and values among 2 heads of queries in qkv: kvHeads must divide heads",
    ],
    [
      () => attentionSizes({ ...inputs, k: { tensor: other, column: 0 } }),
      "Cannot attend within qkv [1, 2, 12]: q, k and v must read each column once, theirs are 0 to 4, 8 to 12",
    ],
    [
      () => attentionSizes(separateInputs({ q: qkv, k: other, v: other }, 2)),
      "Cannot attend from qkv [1, 2, 12] to k [1, 3, 12]: both must have the same samples and tokens",
    ],
    [() => attentionSizes({ ...inputs, v: view(4) }), "theirs are 0 to 4, 4 to 8, 4 to 8"],
  ];
  attentionSizes(inputs);
  for (const [call, text] of refused) assertThrows(call, RangeError, text);
});
