import { subspan } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Causal self-attention on a fused projection; heads are read in place, no transposed copy is made.
 *
 * Shapes: qkv [B, T, 3C], result [B, T, C]; head h owns columns h D .. (h + 1) D of each third. C may be that of a
 * part of the heads.
 * Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.
 *
 * @param headDim D, the width of a head.
 * @throws {RangeError} If C is no multiple of D, or if the tape's rows are parts of sequences.
 */
export function causalSelfAttention(tape: Tape, qkv: Tensor, headDim: number): Tensor {
  const [batch, steps, width] = qkv.shape, channels = width / 3, heads = channels / headDim;
  if (qkv.shape.length !== 3 || !Number.isInteger(heads)) {
    throw new RangeError(
      `Cannot split ${qkv.name} ${formatShape(qkv.shape)} into q, k and v with heads of ${headDim}: ` +
        `the last dim must be a multiple of 3 x ${headDim}`,
    );
  }
  refuseParts(tape, qkv);
  const backend = tape.backend, out = tape.output("attention", [batch, steps, channels], [qkv]);
  const sizes = {
    ...{ batch, heads, queries: steps, keys: steps, headDim, scale: 1 / Math.sqrt(headDim), causal: true },
    queryRuns: tape.exact?.queryRuns((index) => tape.positionOf(index)),
  };
  const strides = {
    ...{ ldQ: width, ldK: width, ldV: width, ldOut: channels },
    ...{
      strideQ: steps * width,
      strideK: steps * width,
      strideV: steps * width,
      strideOut: steps * channels,
    },
  };
  const part = (i: number, span = qkv.span) => subspan(span, i * channels);
  const logSumExp = tape.scratch("attention log-sum-exp", batch * heads * steps);
  const args = { ...sizes, ...strides, q: part(0), k: part(1), v: part(2), out: out.span, logSumExp };
  return tape.record({
    name: "attention",
    inputs: [qkv],
    output: out,
    forward: () => backend.attention(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(qkv);
      if (target === undefined) return {};
      const [dQ, dK, dV] = [0, 1, 2].map((i) => part(i, target.span));
      const gradient = { ...args, dOut, dQ, dK, dV };
      return {
        input: () => {
          backend.attentionBackward(gradient);
          target.after?.();
        },
      };
    },
    lower: (lowering) => lowering.attend(lowering.valueOf(qkv), headDim),
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
