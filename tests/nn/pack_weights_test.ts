import { assertEquals } from "@std/assert";
import { type Backend, ReferenceBackend } from "../../kernels/mod.ts";
import { Embedding, Head, Linear, packWeights, Scope, Tape } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

/** Results of a layer for rows of a wave, before its weight is packed and after. */
function runTwice(
  backend: Backend,
  { rows, inputs, outputs, bias }: Record<"rows" | "inputs" | "outputs", number> & { readonly bias: boolean },
) {
  const scope = Scope.root(backend.heap, 3);
  const layer = new Linear(scope, { inputs, outputs, bias, outputsFirst: true });
  const tape = new Tape({ backend, training: false }), x = tape.input("x", [1, rows, inputs]);
  const residual = tape.input("residual", [1, rows, outputs]);
  const y = layer.forward(tape, x, { residual }), { heap } = backend;
  for (const tensor of [x, residual]) {
    heap.f32(tensor.span).forEach((_, i, all) => all[i] = Math.sin(i * 0.7 + rows));
  }
  const run = () => {
    tape.forward();
    return heap.f32(y.span).slice();
  };
  const before = run();
  packWeights(backend, scope.parameters);
  return { before, after: run(), packing: layer.weight.packing };
}

for (const inputs of [1, 37, 800]) {
  Deno.test(`packWeights() changes no bit of products of ${inputs} terms`, () => {
    for (const rows of [1, 2, 5, 7, 64, 130]) {
      const sizes = { rows, inputs, outputs: 48, bias: rows % 2 === 0 };
      const { before, after, packing } = runTwice(makeBackend(), sizes);
      assertEquals(packing, "f32");
      assertEquals(new Uint32Array(after.buffer), new Uint32Array(before.buffer), `${rows} rows`);
    }
  });
}

Deno.test("packWeights() leaves what it cannot pack, what others read, and what a backend does not pack", () => {
  const odd = runTwice(makeBackend(), { rows: 3, inputs: 8, outputs: 20, bias: true });
  assertEquals([odd.packing, odd.after], [undefined, odd.before]);
  const plain = runTwice(new ReferenceBackend(makeBackend().heap), {
    rows: 3,
    inputs: 8,
    outputs: 16,
    bias: true,
  });
  assertEquals([plain.packing, plain.after], [undefined, plain.before]);
  const backend = makeBackend(), scope = Scope.root(backend.heap, 1);
  const table = new Embedding(scope.child("table"), { rows: 32, width: 8 });
  const tied = new Head(scope.child("head"), { name: "table.weight", rows: 32, width: 8 });
  const first = new Linear(scope.child("first"), { inputs: 8, outputs: 16 });
  const own = new Head(scope.child("own"), { name: "own.weight", rows: 32, width: 8 });
  packWeights(backend, scope.parameters);
  assertEquals([table.weight, tied.table, first.weight, own.table].map(({ packing }) => packing), [
    ...[undefined, undefined, undefined, "f32"],
  ]);
});
