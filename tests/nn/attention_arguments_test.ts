import { assertEquals, assertThrows } from "@std/assert";
import {
  allocateAttention,
  attentionArgs,
  attentionGradientArgs,
  fusedInputs,
  headRows,
  inputTensors,
  separateInputs,
  skipRows,
  Tape,
} from "../../nn/mod.ts";
import { phantomBackend } from "../support/device.ts";

const newTape = () => new Tape({ backend: phantomBackend(), training: true });

Deno.test("headRows() reads a view in place, and its gradient as it lies", () => {
  const tape = newTape(), qkv = tape.input("qkv", [2, 3, 24]), gradient = tape.input("d", [2, 3, 24]).span;
  const { k } = fusedInputs(qkv, { headDim: 3, group: 2 }), rows = headRows(k), start = qkv.span.byteOffset;
  assertEquals([rows.span.byteOffset, rows.ld, rows.stride], [start + 4 * 12, 24, 72]);
  assertEquals(headRows(k, gradient), {
    ...rows,
    span: { ...rows.span, byteOffset: gradient.byteOffset + 4 * 12 },
  });
  assertEquals(skipRows(rows, 2).span.byteOffset, start + 4 * (12 + 2 * 24));
});

Deno.test("attentionArgs() and attentionGradientArgs() name every place once", () => {
  const tape = newTape(), inputs = fusedInputs(tape.input("qkv", [2, 3, 24]), { headDim: 3, group: 2 });
  const { out, logSumExp, tokens, ...sizes } = allocateAttention(tape, inputs);
  assertEquals([out.shape, logSumExp.length, inputTensors(inputs).length], [[2, 3, 12], 2 * 4 * 3, 1]);
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((view) => headRows(view));
  const call = { ...sizes, queries: tokens, keys: tokens, causal: true, logSumExp };
  const args = attentionArgs(call, { q, k, v, out: headRows({ tensor: out, column: 0 }) });
  assertEquals([args.heads, args.kvHeads, args.scale], [4, 2, 1 / Math.sqrt(3)]);
  assertEquals([args.ldQ, args.ldK, args.ldV, args.ldOut], [24, 24, 24, 12]);
  assertEquals([args.strideQ, args.strideK, args.strideV, args.strideOut], [72, 72, 72, 36]);
  const { dOut, dQ, dK, dV } = attentionGradientArgs(args, { q: v, k, v: q, dOut: out.span });
  assertEquals([dOut, dQ, dK, dV], [out.span, v.span, k.span, q.span]);
});

Deno.test("allocateAttention() refuses tensors of other rows", () => {
  const tape = newTape(), [q, k] = [2, 3].map((tokens, i) => tape.input("qk"[i], [1, tokens, 4]));
  const v = tape.input("v", [1, 2, 4]);
  assertThrows(
    () => allocateAttention(tape, separateInputs({ q, k, v }, 2)),
    RangeError,
    "Cannot attend from q [1, 2, 4] to k [1, 3, 4]",
  );
});
