/**
 * How every kind of attention (whole, cached, ring, gathered) tells the kernels where heads lie.
 */
import { type AttentionArgs, type AttentionBackwardArgs, type Span, subspan } from "../../kernels/mod.ts";
import {
  type AttentionInputs,
  type AttentionSizes,
  attentionSizes,
  columnsByTensor,
  type ColumnView,
} from "./attention_inputs.ts";
import type { Gradients } from "../gradients.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import type { FirstKeys } from "./places.ts";

/** Rows of heads in memory: token t of sample b begins at element `b * stride + t * ld` of the span. */
export interface HeadRows {
  /** Begins with the first head of the first token. */
  readonly span: Span;
  /** Elements from one token of a sample to the next. */
  readonly ld: number;
  /** Elements from one sample to the next. */
  readonly stride: number;
}

/** The rows of a view; with `span` those of a tensor that lies there as the view's does: its gradient. */
export function headRows({ tensor, column }: ColumnView, span: Span = tensor.span): HeadRows {
  const [, tokens, ld] = tensor.shape;
  return { span: subspan(span, column), ld, stride: tokens * ld };
}

/** Rows without the first `count` of each sample. */
export function skipRows(rows: HeadRows, count: number): HeadRows {
  return { ...rows, span: subspan(rows.span, count * rows.ld) };
}

/** What attention fills. */
export interface AttentionResult {
  /** [B, T, H D]. */
  readonly out: Tensor;
  /** Log-sum-exps of the scores, f32 [B, H, T]. */
  readonly logSumExp: Span;
}

/**
 * Allocates the results of attention, as activations.
 *
 * @throws {RangeError} If the inputs do not fit each other: see `attentionSizes`.
 */
export function allocateAttention(tape: Tape, inputs: AttentionInputs): AttentionResult & AttentionSizes {
  const sizes = attentionSizes(inputs), { batch, tokens, heads, headDim } = sizes;
  const out = tape.output("attention", [batch, tokens, heads * headDim], inputTensors(inputs));
  return { ...sizes, out, logSumExp: tape.scratch("attention log-sum-exp", batch * heads * tokens) };
}

/** The tensors of the inputs, each once. */
export function inputTensors(inputs: AttentionInputs): Tensor[] {
  return [...columnsByTensor(inputs).keys()];
}

/** Where the operands of one call lie. */
export interface AttentionPlaces {
  /** Queries. */
  readonly q: HeadRows;
  /** Keys. */
  readonly k: HeadRows;
  /** Values. */
  readonly v: HeadRows;
  /** Results. */
  readonly out: HeadRows;
}

/** What a call computes; by the letters of {@link AttentionSizes}. */
export type AttentionCall =
  & Omit<AttentionSizes, "tokens">
  & Pick<AttentionArgs, "queries" | "keys" | "causal" | "queryRuns" | "logSumExp" | "strideLogSumExp">
  & FirstKeys;

/** The arguments of a kernel's call; scores are scaled by 1 / sqrt(D) (Vaswani et al., 2017, section 3.2.1). */
export function attentionArgs(call: AttentionCall, { q, k, v, out }: AttentionPlaces): AttentionArgs {
  const { batch, heads, kvHeads, headDim, queries, keys, causal, queryRuns, logSumExp, strideLogSumExp } =
    call;
  const { firstKeys, strideFirstKeys } = call;
  return {
    ...{ batch, heads, kvHeads, headDim, queries, keys, causal, queryRuns, scale: 1 / Math.sqrt(headDim) },
    ...{ q: q.span, ldQ: q.ld, strideQ: q.stride },
    ...{ k: k.span, ldK: k.ld, strideK: k.stride },
    ...{ v: v.span, ldV: v.ld, strideV: v.stride },
    ...{ out: out.span, ldOut: out.ld, strideOut: out.stride, logSumExp, strideLogSumExp },
    ...{ firstKeys, strideFirstKeys },
  };
}

/** Where gradients lie: each as the operand that it belongs to. */
export interface GradientPlaces extends Pick<AttentionBackwardArgs, "dOut" | "accumulate"> {
  /** Of the queries. */
  readonly q: HeadRows;
  /** Of the keys. */
  readonly k: HeadRows;
  /** Of the values. */
  readonly v: HeadRows;
}

/** The arguments of the backward pass of a call. */
export function attentionGradientArgs(args: AttentionArgs, places: GradientPlaces): AttentionBackwardArgs {
  const { dOut, accumulate, q, k, v } = places;
  return { ...args, dOut, dQ: q.span, dK: k.span, dV: v.span, accumulate };
}

/** Where a backward pass writes the gradients of its inputs. */
export interface AttentionTargets extends Omit<GradientPlaces, "dOut" | "accumulate"> {
  /** The gradient of each tensor; overwritten. */
  readonly spans: ReadonlyMap<Tensor, Span>;
  /** To be called when they are complete. */
  readonly deliver: () => void;
}

/**
 * Where the gradients of q, k and v go: each part of a fused projection to its columns of one gradient.
 *
 * @returns undefined if nobody wants one of them.
 */
export function attentionTargets(
  gradients: Gradients,
  inputs: AttentionInputs,
): AttentionTargets | undefined {
  const targets = inputTensors(inputs).map((tensor) => ({
    tensor,
    target: gradients.inputOverwritten(tensor),
  }));
  if (targets.every(({ target }) => target === undefined)) return undefined;
  const spans = new Map(
    targets.map(({ tensor, target }) => [tensor, target?.span ?? gradients.temporary(tensor)]),
  );
  const rows = (view: ColumnView) => headRows(view, spans.get(view.tensor));
  return {
    ...{ q: rows(inputs.q), k: rows(inputs.k), v: rows(inputs.v), spans },
    deliver: () => {
      for (const { target } of targets) target?.after?.();
    },
  };
}
