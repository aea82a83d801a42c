/**
 * A GPT-2 in plain float64 loops, forward and backward written out by hand: shares no line with the library, so that
 * both can only agree by being right.
 */

/** Sizes of a model. */
export interface Sizes {
  layers: number;
  heads: number;
  embed: number;
  context: number;
  vocab: number;
}

/** Tensors by Hugging Face name. */
export type Tensors = Map<string, Float64Array>;

/** Loss and gradients of a batch. */
export interface LossAndGradients {
  loss: number;
  gradients: Tensors;
}

const EPSILON = 1e-5;

/** Mean cross-entropy of `inputs` [B, T] with `targets` [B, T], and its gradients. */
export function lossAndGradients(
  sizes: Sizes,
  weights: Tensors,
  inputs: number[][],
  targets: number[][],
): LossAndGradients {
  const gradients: Tensors = new Map(
    [...weights].map(([name, values]) => [name, new Float64Array(values.length)]),
  );
  const numTargets = targets.flat().filter((target) => target >= 0).length;
  let loss = 0;
  for (const [b, ids] of inputs.entries()) {
    loss += sample(sizes, { weights, gradients }, ids, targets[b], numTargets);
  }
  return { loss, gradients };
}

/** A value with its gradient: [rows, cols]. */
class Matrix {
  readonly value: Float64Array;
  readonly gradient: Float64Array;
  constructor(readonly rows: number, readonly cols: number) {
    this.value = new Float64Array(rows * cols);
    this.gradient = new Float64Array(rows * cols);
  }
}

interface Parameters {
  weights: Tensors;
  gradients: Tensors;
}

function sample(
  sizes: Sizes,
  parameters: Parameters,
  ids: number[],
  targets: number[],
  numTargets: number,
): number {
  const { embed: C, vocab: V } = sizes, T = ids.length, backward: (() => void)[] = [];
  const get = (name: string) => ({
    value: parameters.weights.get(name)!,
    gradient: parameters.gradients.get(name)!,
  });
  const token = get("wte.weight"), position = get("wpe.weight");
  let x = new Matrix(T, C);
  const start = x;
  for (let t = 0; t < T; t++) {
    for (let c = 0; c < C; c++) {
      start.value[t * C + c] = token.value[ids[t] * C + c] + position.value[t * C + c];
    }
  }
  backward.push(() => {
    for (let t = 0; t < T; t++) {
      for (let c = 0; c < C; c++) {
        token.gradient[ids[t] * C + c] += start.gradient[t * C + c];
        position.gradient[t * C + c] += start.gradient[t * C + c];
      }
    }
  });
  for (let layer = 0; layer < sizes.layers; layer++) {
    const name = (part: string) => get(`h.${layer}.${part}`);
    const normed = layerNorm(x, name("ln_1.weight"), name("ln_1.bias"), backward);
    const qkv = linear(normed, name("attn.c_attn.weight"), name("attn.c_attn.bias"), backward);
    const mixed = attention(qkv, sizes.heads, backward);
    x = add(x, linear(mixed, name("attn.c_proj.weight"), name("attn.c_proj.bias"), backward), backward);
    const normed2 = layerNorm(x, name("ln_2.weight"), name("ln_2.bias"), backward);
    const up = gelu(linear(normed2, name("mlp.c_fc.weight"), name("mlp.c_fc.bias"), backward), backward);
    x = add(x, linear(up, name("mlp.c_proj.weight"), name("mlp.c_proj.bias"), backward), backward);
  }
  const last = layerNorm(x, get("ln_f.weight"), get("ln_f.bias"), backward);
  let loss = 0;
  for (let t = 0; t < T; t++) {
    if (targets[t] < 0) continue;
    const logits = Array.from({ length: V }, (_, v) => dot(last.value, t * C, token.value, v * C, C));
    const max = Math.max(...logits), sum = logits.reduce((s, l) => s + Math.exp(l - max), 0);
    loss += (max + Math.log(sum) - logits[targets[t]]) / numTargets;
    for (let v = 0; v < V; v++) {
      const d = (Math.exp(logits[v] - max) / sum - (v === targets[t] ? 1 : 0)) / numTargets;
      for (let c = 0; c < C; c++) {
        last.gradient[t * C + c] += d * token.value[v * C + c];
        token.gradient[v * C + c] += d * last.value[t * C + c];
      }
    }
  }
  for (const step of backward.reverse()) step();
  return loss;
}

interface Weight {
  value: Float64Array;
  gradient: Float64Array;
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let sum = 0;
  for (let c = 0; c < n; c++) sum += a[i + c] * b[j + c];
  return sum;
}

function linear(x: Matrix, weight: Weight, bias: Weight, backward: (() => void)[]): Matrix {
  const n = bias.value.length, m = x.cols, out = new Matrix(x.rows, n);
  for (let r = 0; r < x.rows; r++) {
    for (let j = 0; j < n; j++) {
      let sum = bias.value[j];
      for (let i = 0; i < m; i++) sum += x.value[r * m + i] * weight.value[i * n + j];
      out.value[r * n + j] = sum;
    }
  }
  backward.push(() => {
    for (let r = 0; r < x.rows; r++) {
      for (let j = 0; j < n; j++) {
        const d = out.gradient[r * n + j];
        bias.gradient[j] += d;
        for (let i = 0; i < m; i++) {
          x.gradient[r * m + i] += d * weight.value[i * n + j];
          weight.gradient[i * n + j] += d * x.value[r * m + i];
        }
      }
    }
  });
  return out;
}

function add(a: Matrix, b: Matrix, backward: (() => void)[]): Matrix {
  const out = new Matrix(a.rows, a.cols);
  out.value.set(a.value.map((value, i) => value + b.value[i]));
  backward.push(() => {
    out.gradient.forEach((d, i) => {
      a.gradient[i] += d;
      b.gradient[i] += d;
    });
  });
  return out;
}

function layerNorm(x: Matrix, gain: Weight, shift: Weight, backward: (() => void)[]): Matrix {
  const n = x.cols,
    out = new Matrix(x.rows, n),
    normal = new Float64Array(x.value.length),
    scales: number[] = [];
  for (let r = 0; r < x.rows; r++) {
    const row = x.value.subarray(r * n, (r + 1) * n), mean = row.reduce((s, v) => s + v, 0) / n;
    const variance = row.reduce((s, v) => s + (v - mean) ** 2, 0) / n;
    scales.push(1 / Math.sqrt(variance + EPSILON));
    for (let c = 0; c < n; c++) {
      normal[r * n + c] = (row[c] - mean) * scales[r];
      out.value[r * n + c] = normal[r * n + c] * gain.value[c] + shift.value[c];
    }
  }
  backward.push(() => {
    for (let r = 0; r < x.rows; r++) {
      let mean = 0, projection = 0;
      for (let c = 0; c < n; c++) {
        const d = out.gradient[r * n + c], g = d * gain.value[c];
        gain.gradient[c] += d * normal[r * n + c];
        shift.gradient[c] += d;
        mean += g / n;
        projection += g * normal[r * n + c] / n;
      }
      for (let c = 0; c < n; c++) {
        const g = out.gradient[r * n + c] * gain.value[c];
        x.gradient[r * n + c] += (g - mean - normal[r * n + c] * projection) * scales[r];
      }
    }
  });
  return out;
}

function gelu(x: Matrix, backward: (() => void)[]): Matrix {
  const out = new Matrix(x.rows, x.cols), k = Math.sqrt(2 / Math.PI);
  const inner = (v: number) => Math.tanh(k * (v + 0.044715 * v ** 3));
  out.value.set(x.value.map((v) => 0.5 * v * (1 + inner(v))));
  backward.push(() => {
    x.value.forEach((v, i) => {
      const t = inner(v), slope = 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * k * (1 + 3 * 0.044715 * v * v);
      x.gradient[i] += out.gradient[i] * slope;
    });
  });
  return out;
}

function attention(qkv: Matrix, heads: number, backward: (() => void)[]): Matrix {
  const T = qkv.rows,
    C = qkv.cols / 3,
    D = C / heads,
    W = qkv.cols,
    out = new Matrix(T, C),
    scale = 1 / Math.sqrt(D);
  for (let h = 0; h < heads; h++) {
    const P: Float64Array[] = [], at = (t: number, part: number) => t * W + part * C + h * D;
    for (let i = 0; i < T; i++) {
      const scores = Array.from(
        { length: i + 1 },
        (_, j) => scale * dot(qkv.value, at(i, 0), qkv.value, at(j, 1), D),
      );
      const max = Math.max(...scores), powers = scores.map((s) => Math.exp(s - max));
      const sum = powers.reduce((a, b) => a + b, 0);
      P.push(new Float64Array(powers.map((p) => p / sum)));
      for (let j = 0; j <= i; j++) {
        for (let d = 0; d < D; d++) out.value[i * C + h * D + d] += P[i][j] * qkv.value[at(j, 2) + d];
      }
    }
    backward.push(() => {
      for (let i = 0; i < T; i++) {
        const o = i * C + h * D, dP = P[i].map((_, j) => dot(out.gradient, o, qkv.value, at(j, 2), D));
        const delta = P[i].reduce((s, p, j) => s + p * dP[j], 0);
        for (let j = 0; j <= i; j++) {
          const dS = P[i][j] * (dP[j] - delta) * scale;
          for (let d = 0; d < D; d++) {
            qkv.gradient[at(j, 2) + d] += P[i][j] * out.gradient[o + d];
            qkv.gradient[at(i, 0) + d] += dS * qkv.value[at(j, 1) + d];
            qkv.gradient[at(j, 1) + d] += dS * qkv.value[at(i, 0) + d];
          }
        }
      }
    });
  }
  return out;
}

/** One run of the golden recipe: losses, norms, and the weights at the end. */
export interface Recipe {
  steps: number;
  batch: number;
  lr: number;
  minLr: number;
  warmup: number;
  weightDecay: number;
  gradClip: number;
}

/** What a run gives. */
export interface RunResult {
  losses: number[];
  norms: number[];
  firstGradients: Tensors;
}

/** Trains in place on `tokens` in sequential order with AdamW (0.9, 0.95, 1e-8). */
export function trainFloat64(
  sizes: Sizes,
  weights: Tensors,
  isDecayed: (name: string) => boolean,
  tokens: ArrayLike<number>,
  recipe: Recipe,
): RunResult {
  const zeros = () => new Map([...weights].map(([name, w]) => [name, new Float64Array(w.length)]));
  const first = zeros(), second = zeros(), losses: number[] = [], norms: number[] = [];
  let firstGradients: Tensors = new Map();
  for (let step = 0; step < recipe.steps; step++) {
    const starts = Array.from({ length: recipe.batch }, (_, i) => (step * recipe.batch + i) * sizes.context);
    const read = (shift: number) =>
      starts.map((s) => Array.from({ length: sizes.context }, (_, t) => tokens[s + t + shift]));
    const { loss, gradients } = lossAndGradients(sizes, weights, read(0), read(1));
    if (step === 0) firstGradients = gradients;
    let squares = 0;
    for (const g of gradients.values()) for (const v of g) squares += v * v;
    const norm = Math.sqrt(squares), clip = Math.min(1, recipe.gradClip / (norm + 1e-6));
    losses.push(loss);
    norms.push(norm);
    const { lr, minLr, warmup, steps } = recipe;
    const rate = step < warmup
      ? lr * (step + 1) / (warmup + 1)
      : minLr + 0.5 * (1 + Math.cos(Math.PI * (step - warmup) / (steps - warmup))) * (lr - minLr);
    for (const [name, w] of weights) {
      const g = gradients.get(name)!, m = first.get(name)!, v = second.get(name)!;
      const decay = isDecayed(name) ? recipe.weightDecay : 0;
      for (let i = 0; i < w.length; i++) {
        const d = g[i] * clip;
        m[i] = 0.9 * m[i] + 0.1 * d;
        v[i] = 0.95 * v[i] + 0.05 * d * d;
        const update = m[i] / (1 - 0.9 ** (step + 1)) / (Math.sqrt(v[i] / (1 - 0.95 ** (step + 1))) + 1e-8);
        w[i] -= rate * (decay * w[i] + update);
      }
    }
  }
  return { losses, norms, firstGradients };
}
