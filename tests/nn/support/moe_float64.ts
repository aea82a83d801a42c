/**
 * A layer of experts in plain float64 loops, token by token, from its definition: shares no line with the library.
 */

/** Weights by name below `mlp.`, and how they are used. */
export interface Mixture {
  embed: number;
  experts: number;
  choices: number;
  capacityFactor: number;
  coefficient: number;
  dead: readonly number[];
  weight: (name: string) => ArrayLike<number>;
}

/** What the layer gives for x [batch][steps][embed], without the residual stream. */
export interface MixtureResult {
  out: number[][];
  kept: number[];
  dropped: number[];
  /** Load loss, summed over the tokens. */
  loss: number;
}

const gelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** `x weight + bias`. */
function affine(x: number[], weight: ArrayLike<number>, bias?: ArrayLike<number>): number[] {
  const n = weight.length / x.length;
  return Array.from(
    { length: n },
    (_, j) => x.reduce((s, v, i) => s + v * weight[i * n + j], bias?.[j] ?? 0),
  );
}

/** Sequences one after the other, each cut into eighths if it can be. */
export function mixtureFloat64(mixture: Mixture, sequences: number[][][]): MixtureResult {
  const { experts, weight } = mixture,
    total: MixtureResult = {
      ...{ out: [], loss: 0 },
      ...{ kept: Array(experts).fill(0), dropped: Array(experts).fill(0) },
    };
  for (const tokens of sequences) {
    const size = tokens.length % 8 === 0 ? tokens.length / 8 : tokens.length;
    for (let at = 0; at < tokens.length; at += size) unit(mixture, tokens.slice(at, at + size), total);
  }
  function unit(m: Mixture, tokens: number[][], result: MixtureResult) {
    const capacity = Math.ceil(m.capacityFactor * m.choices * tokens.length / experts);
    const asked = Array(experts).fill(0), means = Array(experts).fill(0);
    for (const x of tokens) {
      const powers = affine(x, weight("router.weight")).map((l, e) => m.dead.includes(e) ? 0 : Math.exp(l));
      const sum = powers.reduce((a, b) => a + b, 0), p = powers.map((power) => power / sum);
      const order = p.map((_, e) => e).filter((e) => !m.dead.includes(e)).sort((a, b) =>
        p[b] - p[a] || a - b
      );
      const chosen = order.slice(0, m.choices), share = chosen.reduce((s, e) => s + p[e], 0);
      const y = x.map(() => 0);
      for (const e of chosen) {
        if (++asked[e] > capacity) {
          result.dropped[e]++;
          continue;
        }
        result.kept[e]++;
        const part = (name: string) => weight(`experts.${e}.${name}`);
        const inner = affine(x, part("c_fc.weight"), part("c_fc.bias")).map(gelu);
        const z = affine(inner, part("c_proj.weight"), part("c_proj.bias"));
        z.forEach((value, c) => y[c] += value * (m.choices === 1 ? p[e] : p[e] / share));
      }
      p.forEach((value, e) => means[e] += value / tokens.length);
      result.out.push(y);
    }
    const live = experts - m.dead.length, choices = tokens.length * m.choices;
    const balance = means.reduce((s, mean, e) => s + mean * asked[e] / choices, 0);
    result.loss += m.coefficient * live * balance * tokens.length;
  }
  return total;
}
