/**
 * Layers in TensorFlow.js with gradients of their own, written for the wasm backend.
 *
 * That backend is fast where a product has one matrix on either side, neither of them transposed; its own gradients use
 * transposed and batched products, which take a slow loop. So transposes are copies, and heads are cut apart.
 */
import type { StepModel } from "../step/step_task.ts";
import type { Save, Tf, TfTensor } from "./tfjs.ts";

const LAYER_NORM_EPSILON = 1e-5;
/** The hyperbolic tangent of GELU as a sigmoid: gelu(x) = x sigmoid(C0 x + C1 x^3). */
const C0 = 2 * Math.sqrt(2 / Math.PI), C1 = C0 * 0.044715;

/** Sums of the columns of x [rows, n]. */
export type SumRows = (x: TfTensor) => TfTensor;

/** A product with ones: a reduction over the first dim is slow. */
export function sumRowsOp(tf: Tf, rows: number): SumRows {
  const ones = tf.ones([1, rows]);
  return (x) => tf.reshape(tf.matMul(ones, x), [x.shape[1]]);
}

/** x [rows, in], weight [in, out], bias [out]. */
export function linearOp(tf: Tf, sumRows: SumRows) {
  return tf.customGrad((x: TfTensor, weight: TfTensor, bias: TfTensor, save: Save) => {
    save([x, weight]);
    return {
      value: tf.fused.matMul({ a: x, b: weight, bias }),
      gradFunc: (dy, [x, weight]) => [
        tf.matMul(dy, tf.transpose(weight)),
        tf.matMul(tf.transpose(x), dy),
        sumRows(dy),
      ],
    };
  });
}

/** x [rows, C], gain [C], shift [C]. */
export function layerNormOp(tf: Tf, sumRows: SumRows) {
  return tf.customGrad((x: TfTensor, gain: TfTensor, shift: TfTensor, save: Save) => {
    const centered = tf.sub(x, tf.mean(x, 1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centered), 1, true), LAYER_NORM_EPSILON));
    const normal = tf.mul(centered, scale);
    save([normal, scale, gain]);
    return {
      value: tf.add(tf.mul(normal, gain), shift),
      gradFunc: (dy, [normal, scale, gain]) => {
        const dNormal = tf.mul(dy, gain), along = tf.mean(tf.mul(dNormal, normal), 1, true);
        const dCentered = tf.sub(dNormal, tf.mean(dNormal, 1, true));
        const dx = tf.mul(scale, tf.sub(dCentered, tf.mul(normal, along)));
        return [dx, sumRows(tf.mul(dy, normal)), sumRows(dy)];
      },
    };
  });
}

/** GELU with tanh. */
export function geluOp(tf: Tf) {
  return tf.customGrad((x: TfTensor, save: Save) => {
    const gate = tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), C1), C0)));
    save([x, gate]);
    return {
      value: tf.mul(x, gate),
      gradFunc: (dy, [x, gate]) => {
        const inner = tf.add(tf.mul(tf.square(x), 3 * C1), C0);
        const slope = tf.add(tf.mul(tf.mul(x, tf.sub(1, gate)), inner), 1);
        return tf.mul(dy, tf.mul(gate, slope));
      },
    };
  });
}

/** x [rows, C], table [V, C] -> [rows, V]. */
export function logitsOp(tf: Tf) {
  return tf.customGrad((x: TfTensor, table: TfTensor, save: Save) => {
    save([x, table]);
    return {
      value: tf.matMul(x, tf.transpose(table)),
      gradFunc: (dy, [x, table]) => [tf.matMul(dy, table), tf.matMul(tf.transpose(dy), x)],
    };
  });
}

/** Rows of table [V, C] by ids [rows]. */
export function embeddingOp(tf: Tf, ids: TfTensor) {
  return tf.customGrad((table: TfTensor, _save: Save) => ({
    value: tf.gather(table, ids),
    gradFunc: (dy) => tf.scatterND(tf.reshape(ids, [ids.shape[0], 1]), dy, table.shape),
  }));
}

/** Mean over the rows of logits [rows, V]; targets are one-hot. */
export function crossEntropyOp(tf: Tf, oneHot: TfTensor) {
  const [rows] = oneHot.shape;
  return tf.customGrad((logits: TfTensor, save: Save) => {
    const probabilities = tf.softmax(logits);
    save([probabilities]);
    return {
      value: tf.neg(tf.div(tf.sum(tf.mul(tf.log(tf.add(probabilities, 1e-30)), oneHot)), rows)),
      gradFunc: (dy, [probabilities]) => tf.mul(tf.sub(probabilities, oneHot), tf.div(dy, rows)),
    };
  });
}

/** Causal self-attention: qkv [rows, 3C] -> [rows, C]. */
export function attentionOp(tf: Tf, { batch: B, context: T, heads: H, embed: C }: StepModel) {
  const headDim = C / H, numHeads = B * H, scale = 1 / Math.sqrt(headDim);
  const future = tf.tensor(
    Float32Array.from({ length: T * T }, (_, i) => i % T > Math.floor(i / T) ? -1e30 : 0),
    [T, T],
  );
  const transpose = (x: TfTensor) => tf.transpose(x, [0, 2, 1]);
  // x [rows, n x headDim] -> [1, T, headDim] of each sample and head, and back.
  const cutHeads = (x: TfTensor, n: number) =>
    cut(tf, tf.reshape(tf.transpose(tf.reshape(x, [B, T, n, headDim]), [0, 2, 1, 3]), [B * n, T, headDim]));
  const joinHeads = (parts: TfTensor[]) => {
    const n = parts.length / B, joined = tf.reshape(tf.concat(parts, 0), [B, n, T, headDim]);
    return tf.reshape(tf.transpose(joined, [0, 2, 1, 3]), [B * T, n * headDim]);
  };
  const queryAt = (i: number) => Math.floor(i / H) * 3 * H + i % H;
  return tf.customGrad((qkv: TfTensor, save: Save) => {
    const parts = cutHeads(qkv, 3 * H), saved: TfTensor[][] = [[], [], [], []], out: TfTensor[] = [];
    for (let i = 0; i < numHeads; i++) {
      const at = queryAt(i), q = tf.mul(parts[at], scale), k = parts[at + H], v = parts[at + 2 * H];
      const weights = tf.softmax(tf.add(tf.matMul(q, transpose(k)), future));
      out.push(tf.matMul(weights, v));
      [q, k, v, weights].forEach((tensor, kind) => saved[kind].push(tensor));
    }
    save(saved.flat());
    return {
      value: joinHeads(out),
      gradFunc: (dy, saved) => {
        const dOut = cutHeads(dy, H), gradients: TfTensor[] = [];
        for (let i = 0; i < numHeads; i++) {
          const [q, k, v, weights] = [0, 1, 2, 3].map((kind) => saved[kind * numHeads + i]);
          const dWeights = tf.matMul(dOut[i], transpose(v)), at = queryAt(i);
          const along = tf.sum(tf.mul(dWeights, weights), 2, true);
          const dScores = tf.mul(weights, tf.sub(dWeights, along));
          gradients[at] = tf.mul(tf.matMul(dScores, k), scale);
          gradients[at + H] = tf.matMul(transpose(dScores), q);
          gradients[at + 2 * H] = tf.matMul(transpose(weights), dOut[i]);
        }
        return joinHeads(gradients);
      },
    };
  });
}

/** Cuts the first dim into single ones by its prime factors: each cut copies all of what it cuts. */
function cut(tf: Tf, x: TfTensor): TfTensor[] {
  const [n] = x.shape;
  if (n === 1) return [x];
  let factor = 2;
  while (n % factor !== 0) factor++;
  return tf.split(x, factor, 0).flatMap((part) => cut(tf, part));
}
