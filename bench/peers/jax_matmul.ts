/** The matmul of jax-js's wasm backend on one thread. */
import { operand, type PreparedProduct, timeProduct } from "../matmul/matmul_contestant.ts";
import type { MatmulShape } from "../matmul/matmul_shapes.ts";
import { serve } from "../serve.ts";
import { type JaxArray, openJax } from "./jax.ts";

await serve(async () => {
  const jax = await openJax(1), { numpy: np } = jax;
  const prepare = ({ m, n, k, transposeA, transposeB }: MatmulShape): PreparedProduct => {
    const a = np.array(operand(m * k)).reshape(transposeA ? [k, m] : [m, k]);
    const b = np.array(operand(k * n)).reshape(transposeB ? [n, k] : [k, n]);
    const product = jax.jit((a: JaxArray, b: JaxArray) =>
      np.matmul(transposeA ? np.transpose(a) : a, transposeB ? np.transpose(b) : b)
    );
    return {
      run: async () => {
        const c = product(a.ref, b.ref);
        await jax.blockUntilReady(c);
        c.dispose();
      },
      last: async () => (await product(a.ref, b.ref).data())[m * n - 1],
      dispose: () => [a, b].forEach((array) => array.dispose()),
    };
  };
  return (task: Parameters<typeof timeProduct>[1]) => timeProduct(prepare, task);
});
