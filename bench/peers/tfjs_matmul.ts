/** The matmul of TensorFlow.js's wasm backend. */
import { operand, type PreparedProduct, timeProduct } from "../matmul/matmul_contestant.ts";
import type { MatmulShape } from "../matmul/matmul_shapes.ts";
import { serve } from "../serve.ts";
import { openTfjs } from "./tfjs.ts";

await serve(async () => {
  const tf = await openTfjs();
  const prepare = ({ m, n, k, transposeA, transposeB }: MatmulShape): PreparedProduct => {
    const a = tf.tensor(operand(m * k), transposeA ? [k, m] : [m, k]);
    const b = tf.tensor(operand(k * n), transposeB ? [n, k] : [k, n]);
    // Its own transposes inside a product take a slow loop: a transposed copy is faster.
    const multiply = () =>
      tf.tidy(() => tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b));
    return {
      run: () => multiply().dispose(),
      last: () => {
        const c = multiply(), value = c.dataSync()[m * n - 1];
        c.dispose();
        return value;
      },
      dispose: () => [a, b].forEach((tensor) => tensor.dispose()),
    };
  };
  return (task: Parameters<typeof timeProduct>[1]) => timeProduct(prepare, task);
});
