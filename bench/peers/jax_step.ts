/** The training step in jax-js's wasm backend, compiled as a whole. */
import { type JaxArray, type JaxTree, openJax } from "./jax.ts";
import { type PeerProblem, type PeerStep, serveSteps } from "./serve_steps.ts";

const LAYER_NORM_EPSILON = 1e-5;

async function build({ model, recipe, weights, devices }: PeerProblem): Promise<PeerStep> {
  const jax = await openJax(devices), { numpy: np, nn } = jax;
  const { layers, heads, embed, context, batch, vocab } = model, rows = batch * context;

  const layerNorm = (x: JaxArray, gain: JaxArray, shift: JaxArray) => {
    const centered = x.ref.sub(np.mean(x, -1, { keepdims: true }));
    const variance = np.mean(np.square(centered.ref), -1, { keepdims: true });
    return centered.mul(np.reciprocal(np.sqrt(variance.add(LAYER_NORM_EPSILON)))).mul(gain).add(shift);
  };
  const attention = (qkv: JaxArray) => {
    const [q, k, v] = np.split(qkv.reshape([batch, context, 3 * heads, embed / heads]), 3, 2);
    return nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, embed]);
  };
  const lossOf = (w: JaxTree, ids: JaxArray, oneHot: JaxArray) => {
    const norm = (x: JaxArray, name: string) => layerNorm(x, w[`${name}.weight`], w[`${name}.bias`]);
    const linear = (x: JaxArray, name: string) => np.matmul(x, w[`${name}.weight`]).add(w[`${name}.bias`]);
    let x = np.take(w["wte.weight"].ref, ids, 0).add(w["wpe.weight"]).reshape([rows, embed]);
    for (let i = 0; i < layers; i++) {
      const attended = attention(linear(norm(x.ref, `h.${i}.ln_1`), `h.${i}.attn.c_attn`));
      x = x.add(linear(attended, `h.${i}.attn.c_proj`));
      const hidden = nn.gelu(linear(norm(x.ref, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`), { approximate: true });
      x = x.add(linear(hidden, `h.${i}.mlp.c_proj`));
    }
    const logits = np.matmul(norm(x, "ln_f"), np.transpose(w["wte.weight"]));
    return nn.logSoftmax(logits, -1).mul(oneHot).sum().mul(-1 / rows);
  };

  const { lr, beta1, beta2, epsilon, weightDecay } = recipe;
  const update = jax.jit(
    // `corrections` holds lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    (w: JaxTree, m: JaxTree, v: JaxTree, corrections: JaxArray, ids: JaxArray, oneHot: JaxArray) => {
      const [loss, gradients] = jax.valueAndGrad(lossOf)(jax.tree.ref(w), ids, oneHot);
      const [rate, root] = np.split(corrections, 2, 0), next: [JaxTree, JaxTree, JaxTree] = [{}, {}, {}];
      for (const [name, gradient] of Object.entries(gradients)) {
        const m1 = m[name].mul(beta1).add(gradient.ref.mul(1 - beta1));
        const v1 = v[name].mul(beta2).add(np.square(gradient).mul(1 - beta2));
        const denominator = np.sqrt(v1.ref).mul(root.ref).add(epsilon);
        const decay = w[name].shape.length >= 2 ? 1 - lr * weightDecay : 1;
        const w1 = w[name].mul(decay).sub(m1.ref.mul(rate.ref).mul(np.reciprocal(denominator)));
        for (const [i, value] of [w1, m1, v1].entries()) next[i][name] = value;
      }
      rate.dispose();
      root.dispose();
      return [loss, ...next] as const;
    },
  );

  const tree = (make: (name: string) => JaxArray) =>
    Object.fromEntries([...weights.keys()].map((name) => [name, make(name)]));
  const stored = (name: string) => weights.get(name)!;
  let w: JaxTree = tree((name) => np.array(stored(name).data).reshape([...stored(name).shape]));
  let m: JaxTree = tree((name) => np.zeros(stored(name).shape));
  let v: JaxTree = tree((name) => np.zeros(stored(name).shape));

  return async ({ inputs, targets }, step) => {
    const corrections = new Float32Array([lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step)]);
    const oneHot = new Float32Array(rows * vocab);
    targets.forEach((id, row) => oneHot[row * vocab + id] = 1);
    const ids = np.array(inputs.slice(), { dtype: np.int32 }).reshape([batch, context]);
    const [loss, ...next] = update(
      w,
      m,
      v,
      np.array(corrections),
      ids,
      np.array(oneHot).reshape([rows, vocab]),
    );
    [w, m, v] = next;
    await jax.blockUntilReady(next);
    return (await loss.data())[0];
  };
}

await serveSteps(build);
