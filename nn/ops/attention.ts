import type { AttentionInputs } from "./attention_inputs.ts";
import { headsOf } from "../lowering.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { firstKeysOf } from "./places.ts";
import {
  allocateAttention,
  attentionArgs,
  attentionGradientArgs,
  attentionTargets,
  headRows,
  inputTensors,
} from "./attention_arguments.ts";

/**
 * Causal self-attention; heads are read where they lie, no transposed copy is made, and heads of queries may share heads
 * of keys and values.
 *
 * Shapes: q [B, T, H D], k and v [B, T, G D], in tensors of their own (`separateInputs`) or in one (`fusedInputs`); result
 * [B, T, H D]. H and G may be those of a part of the heads.
 * Cost: 4 B H T^2 D operations forward, half of them for causal keys; 2.5 times that backward.
 * Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2; Shazeer, Fast Transformer Decoding, 2019; Ainslie
 * et al., GQA, EMNLP 2023.
 *
 * @throws {RangeError} If the inputs do not fit each other, or the tape's rows are parts of sequences.
 */
export function attend(tape: Tape, inputs: AttentionInputs): Tensor {
  const { out, logSumExp, tokens, ...sizes } = allocateAttention(tape, inputs), { backend } = tape;
  refuseParts(tape, inputs.q.tensor);
  const call = {
    ...{ ...sizes, queries: tokens, keys: tokens, causal: true, logSumExp },
    queryRuns: tape.exact?.queryRuns((index) => tape.positionOf(index)),
    ...firstKeysOf(tape, inputs.window, inputs.q.tensor.shape),
  };
  const places = { q: headRows(inputs.q), k: headRows(inputs.k), v: headRows(inputs.v) };
  const args = attentionArgs(call, { ...places, out: headRows({ tensor: out, column: 0 }) });
  return tape.record({
    name: "attention",
    inputs: inputTensors(inputs),
    output: out,
    forward: () => backend.attention(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), targets = attentionTargets(gradients, inputs);
      if (targets === undefined) return {};
      const gradient = attentionGradientArgs(args, { ...targets, dOut });
      return {
        input: () => {
          backend.attentionBackward(gradient);
          targets.deliver();
        },
      };
    },
    lower: (lowering) => lowering.attend(headsOf(lowering, inputs), inputs.window),
  });
}

/** What a token sees follows from its place in the row here: it must be that in its sequence. */
function refuseParts(tape: Tape, { name, shape }: Tensor): void {
  for (let i = 0; i < shape[1]; i++) {
    if (tape.positionOf(i) === i) continue;
    throw new RangeError(
      `Cannot attend within ${name}: token ${i} of a row is token ${
        tape.positionOf(i)
      } of its sequence, so the ` +
        `device holds a part of it; use CausalSelfAttention, which context parallelism gives its own attention`,
    );
  }
}
