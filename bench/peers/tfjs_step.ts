/** The training step in TensorFlow.js's wasm backend, one thread. */
import { type PeerProblem, type PeerStep, serveSteps } from "./serve_steps.ts";
import { openTfjs, type TfTensor, type TfVariable } from "./tfjs.ts";
import * as ops from "./tfjs_ops.ts";

async function build({ model, recipe, weights }: PeerProblem): Promise<PeerStep> {
  const tf = await openTfjs(), { layers, embed, context, batch, vocab } = model, rows = batch * context;
  const sumRows = ops.sumRowsOp(tf, rows), linear = ops.linearOp(tf, sumRows), gelu = ops.geluOp(tf);
  const layerNorm = ops.layerNormOp(tf, sumRows), attention = ops.attentionOp(tf, model);
  const logits = ops.logitsOp(tf);

  const variables: Record<string, { w: TfVariable; m: TfVariable; v: TfVariable }> = {};
  for (const [name, { shape, data }] of weights) {
    const w = tf.variable(tf.tensor(data, [...shape]), true, name),
      zeros = () => tf.variable(tf.zerosLike(w), false);
    variables[name] = { w, m: zeros(), v: zeros() };
  }
  const weight = (name: string): TfTensor => variables[name].w;

  const lossOf = (ids: TfTensor, oneHot: TfTensor) => {
    const norm = (x: TfTensor, name: string) =>
      layerNorm(x, weight(`${name}.weight`), weight(`${name}.bias`));
    const project = (x: TfTensor, name: string) =>
      linear(x, weight(`${name}.weight`), weight(`${name}.bias`));
    const tokens = tf.reshape(ops.embeddingOp(tf, ids)(weight("wte.weight")), [batch, context, embed]);
    let x = tf.reshape(tf.add(tokens, weight("wpe.weight")), [rows, embed]);
    for (let i = 0; i < layers; i++) {
      const attended = attention(project(norm(x, `h.${i}.ln_1`), `h.${i}.attn.c_attn`));
      x = tf.add(x, project(attended, `h.${i}.attn.c_proj`));
      x = tf.add(x, project(gelu(project(norm(x, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`)), `h.${i}.mlp.c_proj`));
    }
    return ops.crossEntropyOp(tf, oneHot)(logits(norm(x, "ln_f"), weight("wte.weight")));
  };

  const { lr, beta1, beta2, epsilon, weightDecay } = recipe;
  const update = (name: string, gradient: TfTensor, step: number) => {
    const { w, m, v } = variables[name],
      rate = lr / (1 - beta1 ** step),
      root = 1 / Math.sqrt(1 - beta2 ** step);
    const m1 = tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1));
    const v1 = tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const denominator = tf.add(tf.mul(tf.sqrt(v1), root), epsilon);
    const decay = w.shape.length >= 2 ? 1 - lr * weightDecay : 1;
    w.assign(tf.sub(tf.mul(w, decay), tf.div(tf.mul(m1, rate), denominator)));
    m.assign(m1);
    v.assign(v1);
  };

  return ({ inputs, targets }, step) =>
    Promise.resolve(tf.tidy(() => {
      const ids = tf.tensor(inputs, [rows], "int32");
      const oneHot = tf.cast(tf.oneHot(tf.tensor(targets, [rows], "int32"), vocab), "float32");
      const { value, grads } = tf.variableGrads(() => lossOf(ids, oneHot));
      for (const [name, gradient] of Object.entries(grads)) tf.tidy(() => update(name, gradient, step));
      return value.dataSync()[0];
    }));
}

await serveSteps(build);
