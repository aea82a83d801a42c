/**
 * A hash of the bits of every operation, as JSON; run as a program by tests that compare settings of V8.
 */
import {
  type Backend,
  createDeviceMemory,
  DeviceHeap,
  LAYER_NORM,
  LAYER_NORM_BACKWARD,
  SOFTMAX,
  SOFTMAX_BACKWARD,
  type Span,
  unitTree,
  WasmBackend,
} from "../../../kernels/mod.ts";
import { NARROW_TILE, type Tile, WIDE_TILE } from "../../../kernels/wasm/gemm.ts";
import { noise } from "../../conformance/backend_pair.ts";

/** Hashes by operation. */
export type Fingerprint = Record<string, number>;

/** Sizes that reach pairs of vectors, a single one and a tail. */
const ROWS = 37, COLS = 95;

/** Hashes of all operations with this tile. */
export function fingerprint(tile: Tile): Fingerprint {
  const capBytes = 16 * 2 ** 20;
  const heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const backend = new WasmBackend(heap, tile);
  const tensor = (seed: number, length = ROWS * COLS) => {
    const span = heap.allocate("test", length, "activations");
    heap.f32(span).set(noise(length, seed).map((x) => 3 * x));
    return span;
  };
  const hashes: Fingerprint = {};
  const take = (name: string, ...outputs: Span[]) => {
    hashes[name] = outputs.reduce((hash, span) => hashBits(hash, heap.i32(span)), 0);
  };
  elements(backend, tensor, take);
  rowwise(backend, tensor, take);
  products(backend, tensor, take);
  experts(backend, tensor, take);
  return hashes;
}

type Tensor = (seed: number, length?: number) => Span;
type Take = (name: string, ...outputs: Span[]) => void;

/** FNV-1a over the words. */
function hashBits(hash: number, words: Int32Array): number {
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193) >>> 0;
  return hash;
}

function elements(backend: Backend, tensor: Tensor, take: Take): void {
  for (const op of ["gelu", "relu", "tanh", "exp", "log", "square"] as const) {
    const x = tensor(1), out = tensor(2);
    backend.unary({ op, x, out });
    take(op, out);
    backend.unaryBackward({ op, x, dOut: out, dX: x, accumulate: true });
    take(`${op} backward`, x);
  }
  const [x, y, m, v] = [tensor(1), tensor(2), tensor(3), tensor(4)];
  backend.axpy(0.3, x, y);
  take("axpy", y);
  backend.unary({ op: "square", x: v, out: v });
  const corrections = { correction1: 0.1, correction2: 0.001, gradientScale: 0.7 };
  const rates = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
  backend.adamw({ parameter: x, gradient: y, m, v, ...rates, ...corrections });
  take("adamw", x, m, v);
  backend.heap.f32(x).set([backend.sum(y), backend.sumSquares(y)]);
  take("sums", x);
  backend.sumSquaresExact(2 ** 16, y, { ...m, length: 2, dtype: "f64" });
  backend.heap.f32(v).fill(backend.maxAbs(y));
  take("exact sums", m, v);
}

function rowwise(backend: Backend, tensor: Tensor, take: Take): void {
  const rows = ROWS, cols = COLS, epsilon = 1e-5;
  const [x, out, dOut, dX] = [tensor(1), tensor(2), tensor(3), tensor(4)];
  const [gamma, beta, dGamma, dBeta] = [5, 6, 7, 8].map((seed) => tensor(seed, cols));
  const mean = tensor(9, rows), rstd = tensor(10, rows);
  backend.row(LAYER_NORM, { rows, cols, x, gamma, beta, out, mean, rstd, epsilon });
  take("layerNorm", out, mean, rstd);
  backend.row(LAYER_NORM_BACKWARD, { rows, cols, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta });
  take("layerNormBackward", dX, dGamma, dBeta);
  backend.sumRows({ rows, cols, x, out: dBeta });
  take("sumRows", dBeta);
  const sums = tensor(14, rows * cols), unitsOfOne = { rows, cols, x: dOut, out: sums, units: rows };
  backend.sumRows(unitsOfOne);
  backend.foldRows({ cols, x: sums, out: dBeta, tree: unitTree({ sequences: 9, units: 4 }) });
  take("foldRows", dBeta);
  const rowIds = backend.heap.allocate("ids", rows, "activations", "i32"),
    tree = unitTree({ sequences: 9, units: 4 });
  backend.heap.i32(rowIds).forEach((_, i, all) => all[i] = (i * i) % 7);
  backend.scatterAdd({ rows, cols, ids: rowIds, x: dOut, table: dX, tree });
  take("scatterAdd", dX);
  backend.row(SOFTMAX, { rows, cols, x, out });
  take("softmax", out);
  backend.row(SOFTMAX_BACKWARD, { rows, cols, out, dOut, dX });
  take("softmaxBackward", dX);
  const targets = backend.heap.allocate("targets", rows, "activations", "i32");
  backend.heap.i32(targets).forEach((_, i, all) => all[i] = (i * 13) % cols);
  backend.crossEntropy({ rows, cols, logits: x, targets, losses: mean, dLogits: x, scale: 0.1 });
  take("crossEntropy", x, mean);
  const max = tensor(11, rows), totals = tensor(12, rows), chosen = tensor(13, rows), firstClass = 7;
  backend.rowMax({ rows, cols, x: out, out: max });
  backend.rowExpSum({ rows, cols: 4 * 23, x: out, max, sums: totals, chunks: 4 });
  take("chunks", totals);
  backend.rowExpSum({ rows, cols, x: out, max, sums: totals, powers: out });
  const parts = { targets, max, sums: totals, chosen, losses: mean, powers: out };
  backend.spreadCrossEntropy({ rows, cols, firstClass, ...parts, scale: 0.1 });
  take("spreadCrossEntropy", max, totals, mean, out);
}

function experts(backend: Backend, tensor: Tensor, take: Take): void {
  const { heap } = backend, sizes = { units: 3, unitTokens: 12, experts: 5, choices: 2, capacity: 4 };
  const tokens = 36, rows = 60, cols = COLS, count = 2, probabilities = tensor(1, tokens * 5);
  const ids = (length: number) => heap.allocate("ids", length, "activations", "i32");
  const [chosen, slots, slotTokens, wanted] = [ids(72), ids(72), ids(rows), ids(15)];
  const [weights, slotWeights, losses, mask] = [tensor(2, 72), tensor(3, rows), tensor(4, 3), tensor(5, 5)];
  heap.f32(mask).set([0, 0, -Infinity, 0, 0]);
  backend.row(SOFTMAX, { rows: tokens, cols: 5, x: probabilities, out: probabilities });
  const plan = {
    ...sizes,
    probabilities,
    mask,
    chosen,
    weights,
    slots,
    slotTokens,
    slotWeights,
    wanted,
    losses,
  };
  backend.route({ ...plan, lossFactor: 0.3 });
  take("route", chosen, weights, slots, slotTokens, slotWeights, wanted, losses);
  const x = tensor(6, tokens * cols), table = tensor(7, rows * cols), dWeights = tensor(8, 72);
  backend.combineRows({ rows, cols, count: 1, ids: slotTokens, table: x, out: table });
  take("dispatch", table);
  backend.combineRows({ rows: tokens, cols, count, ids: slots, weights, table, out: x, accumulate: true });
  take("combineRows", x);
  backend.choiceDots({ rows: tokens, cols, count, ids: slots, x, table, out: dWeights });
  take("choiceDots", dWeights);
  backend.routeBackward({ ...plan, lossFactor: 0.3, dWeights, dProbabilities: probabilities });
  take("routeBackward", probabilities);
}

function products(backend: Backend, tensor: Tensor, take: Take): void {
  const m = ROWS, n = COLS, k = 300;
  const a = tensor(1, m * k), b = tensor(2, k * n), bias = tensor(3, n), c = tensor(4), pre = tensor(5);
  for (const transposeB of [false, true]) {
    for (const transposeA of [false, true]) {
      backend.matmul({ m, n, k, a, b, c, transposeA, transposeB, epilogue: { kind: "gelu", bias, pre } });
      take(`matmul ${transposeA} ${transposeB}`, c, pre);
    }
  }
  const heads = 2, queries = 60, headDim = 16, width = heads * headDim, stride = queries * width;
  const [q, keys, v, out, dOut, dQ, dK, dV] = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => tensor(seed, stride));
  const logSumExp = tensor(9, heads * queries);
  const lds = { ldQ: width, ldK: width, ldV: width, ldOut: width };
  const strides = { strideQ: stride, strideK: stride, strideV: stride, strideOut: stride };
  const sizes = { batch: 1, heads, queries, keys: queries, headDim, scale: 0.25, causal: true };
  const args = { ...sizes, ...lds, ...strides, q, k: keys, v, out, logSumExp };
  backend.attention(args);
  take("attention", out, logSumExp);
  backend.attentionBackward({ ...args, dOut, dQ, dK, dV });
  take("attentionBackward", dQ, dK, dV);
  const partLogSumExp = tensor(10, heads * queries);
  backend.mergeAttention({ ...args, part: dOut, partLogSumExp });
  take("mergeAttention", out, logSumExp);
}

if (import.meta.main) console.log(JSON.stringify([fingerprint(NARROW_TILE), fingerprint(WIDE_TILE)]));
