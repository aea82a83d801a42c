import { assertThrows } from "@std/assert";
import { LAYER_NORM, LAYER_NORM_BACKWARD } from "../../../kernels/mod.ts";
import { checkMatmul } from "../../../kernels/arguments/check_matmul.ts";
import {
  badId,
  checkAttentionBackward,
  checkCrossEntropy,
  checkMergeAttention,
  need,
} from "../../../kernels/arguments/check.ts";
import { refusesShortSpans, span } from "../support/short_spans.ts";

Deno.test("checks refuse every span that is one element too short", () => {
  const rows = 3, cols = 5, [x, out, dX, dOut, logits, dLogits] = Array(6).fill(span(15));
  const [gamma, beta, dGamma, dBeta] = Array(4).fill(span(5)),
    [mean, rstd, losses, targets] = Array(4).fill(span(3));
  const norm = { rows, cols, x, gamma, beta, out, mean, rstd, epsilon: 0 };
  refusesShortSpans(norm, (args) => LAYER_NORM.check(args));
  const gradients = { rows, cols, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta };
  refusesShortSpans(gradients, (args) => LAYER_NORM_BACKWARD.check(args));
  refusesShortSpans({ rows, cols, logits, targets, losses, dLogits, scale: 1 }, checkCrossEntropy);
});

Deno.test("checks of attention refuse every span that is one element too short", () => {
  const sizes = { batch: 2, heads: 3, queries: 4, keys: 5, headDim: 2, scale: 1, causal: false };
  const lds = { ldQ: 6, ldK: 7, ldV: 6, ldOut: 8 };
  const strides = { strideQ: 24, strideK: 40, strideV: 30, strideOut: 32 };
  const [q, dQ] = Array(2).fill(span(24 + 3 * 6 + 6)), [k, dK] = Array(2).fill(span(40 + 4 * 7 + 6));
  const [v, dV] = Array(2).fill(span(30 + 4 * 6 + 6)), [out, dOut] = Array(2).fill(span(32 + 3 * 8 + 6));
  const args = { ...sizes, ...lds, ...strides, q, k, v, out, dOut, dQ, dK, dV, logSumExp: span(24) };
  refusesShortSpans(args, checkAttentionBackward);
  refusesShortSpans({ ...args, strideLogSumExp: 9, logSumExp: span(5 * 9 + 4) }, checkAttentionBackward);
  const parts = { part: span(48), partLogSumExp: span(24) };
  const { batch, heads, queries, headDim } = sizes, { ldOut } = lds, { strideOut } = strides;
  const merged = { batch, heads, queries, headDim, ldOut, strideOut, out, logSumExp: span(24), ...parts };
  refusesShortSpans(merged, checkMergeAttention);
});

Deno.test("need() and badId() say what is wrong and what is allowed", () => {
  const check = () => need("softmax", "x", span(5), 6);
  assertThrows(check, RangeError, "Cannot run softmax: x needs 6 elements, its span has 5");
  const fail = () => {
    throw badId("gather", 7, 300, 256);
  };
  assertThrows(fail, RangeError, "Cannot run gather: id 300 at row 7 is not below 256");
});

Deno.test("checkMatmul() refuses to accumulate and to apply an epilogue in one call", () => {
  const args = { m: 2, n: 3, k: 4, a: span(8), b: span(12), c: span(6) };
  const epilogue = { kind: "bias" as const, bias: span(3) };
  checkMatmul({ ...args, accumulate: true });
  checkMatmul({ ...args, epilogue });
  const both = () => checkMatmul({ ...args, accumulate: true, epilogue });
  assertThrows(both, TypeError, "Cannot multiply: accumulate and the epilogue bias exclude each other");
});
