import type {
  AttentionArgs,
  AttentionBackwardArgs,
  MergeAttentionArgs,
} from "../arguments/product_arguments.ts";
import type { Backend } from "../backend.ts";
import { type Bf16Staging, type BlockSpan, isBf16 } from "./staging.ts";
import { checkAttention, checkAttentionBackward, checkMergeAttention } from "../arguments/check.ts";
import { groupSize } from "../arguments/head_groups.ts";
import type { Use } from "./rows.ts";
import { DTYPE_BYTES, type Span, subspan } from "../memory/span.ts";

/** Name of an operand, its use, and the argument names of its distances. */
type Place = readonly [field: string, use: Use, of: "Q" | "K" | "V" | "Out"];

const FORWARD: readonly Place[] = [["q", "in", "Q"], ["k", "in", "K"], ["v", "in", "V"], [
  "out",
  "out",
  "Out",
]];

/** An operand of one head of k and v, and of all heads of q that read it. */
interface Operand {
  readonly span: Span;
  readonly block: BlockSpan;
  readonly use: Use;
  readonly isStaged: boolean;
  readonly rows: number;
  readonly cols: number;
  readonly ld: number;
  readonly stride: number;
}

/**
 * Attention whose operands may be bf16, head by head of k and v, with the g heads of q that read it: their rows are
 * staged tight, which is what the passes over them read again and again. The bits are those of float32 operands of the
 * same values, rounded once.
 *
 * Cost: staging of 2 (g + 1) T d floats forward, 4 (g + 1) T d backward, for heads of width d.
 */
export class Bf16Attention {
  readonly #inner: Backend;
  readonly #staging: Bf16Staging;

  /** Computes with `inner`. */
  constructor(inner: Backend, staging: Bf16Staging) {
    this.#inner = inner;
    this.#staging = staging;
  }

  /** See {@link Backend}. */
  forward(args: AttentionArgs): void {
    if (!hasBf16(args, FORWARD)) return this.#inner.attention(args);
    checkAttention(args);
    this.#eachGroup(args, FORWARD, (group) => this.#inner.attention(group));
  }

  /** See {@link Backend}. */
  backward(args: AttentionBackwardArgs): void {
    const use = args.accumulate ? "inout" : "out";
    const places: Place[] = [
      ...FORWARD.map(([field, , of]): Place => [field, "in", of]),
      ...[["dOut", "in", "Out"], ["dQ", use, "Q"], ["dK", use, "K"], ["dV", use, "V"]] as const,
    ];
    if (!hasBf16(args, places)) return this.#inner.attentionBackward(args);
    checkAttentionBackward(args);
    this.#eachGroup(args, places, (group) => this.#inner.attentionBackward(group));
  }

  /** See {@link Backend}; sample by sample, as `part` has the rows of all heads side by side. */
  merge(args: MergeAttentionArgs): void {
    if (![args.out, args.part].some(isBf16)) return this.#inner.mergeAttention(args);
    checkMergeAttention(args);
    const { batch, heads, queries, headDim, out, part, logSumExp, partLogSumExp, ldOut, strideOut } = args;
    const staging = this.#staging, width = heads * headDim, size = queries * width;
    const strideLogSumExp = args.strideLogSumExp ?? queries;
    staging.begin([size, size]);
    const wideOut = staging.take(size), widePart = staging.take(size);
    for (let b = 0; b < batch; b++) {
      const rows = { span: out, start: b * strideOut, ld: ldOut, rows: queries, cols: width };
      if (isBf16(out)) staging.widenRows(rows, wideOut);
      if (isBf16(part)) staging.widen(part, b * size, widePart, size);
      this.#inner.mergeAttention({
        ...{ batch: 1, heads, queries, headDim, strideOut: 0, strideLogSumExp },
        ...(isBf16(out) ? { out: wideOut, ldOut: width } : { out: subspan(out, b * strideOut), ldOut }),
        part: isBf16(part) ? widePart : subspan(part, b * size, size),
        logSumExp: subspan(logSumExp, b * heads * strideLogSumExp),
        partLogSumExp: subspan(partLogSumExp, b * heads * queries),
      });
      if (isBf16(out)) staging.narrowRows(wideOut, rows);
    }
  }

  #eachGroup<A extends AttentionArgs>(args: A, places: readonly Place[], call: (group: A) => void): void {
    const { batch, heads, kvHeads = heads, logSumExp, strideLogSumExp = args.queries } = args;
    const staging = this.#staging, size = groupSize(args);
    const copy = { ...args, batch: 1, heads: size, kvHeads: 1 } as unknown as Record<string, unknown>;
    const operands = operandsOf(args, places, staging);
    operands.forEach(({ block, isStaged, cols }, i) => {
      copy[places[i][0]] = block;
      if (isStaged) copy[`ld${places[i][2]}`] = cols;
    });
    const rowSums = copy.logSumExp = { ...logSumExp } as BlockSpan;
    const { firstKeys, strideFirstKeys = args.queries } = args;
    for (let b = 0; b < batch; b++) {
      if (firstKeys !== undefined) copy.firstKeys = subspan(firstKeys, b * strideFirstKeys);
      for (let g = 0; g < kvHeads; g++) {
        const first = (b * heads + g * size) * strideLogSumExp;
        rowSums.byteOffset = logSumExp.byteOffset + 4 * first;
        rowSums.length = Math.max(0, logSumExp.length - first);
        const placeOf = ({ span, stride, ld, rows, cols }: Operand) => ({
          span,
          start: b * stride + g * cols,
          ld,
          rows,
          cols,
        });
        for (const one of operands) {
          const place = placeOf(one), { span, block } = one;
          if (one.isStaged && one.use !== "out") staging.widenRows(place, block);
          if (one.isStaged) continue;
          block.byteOffset = span.byteOffset + DTYPE_BYTES[span.dtype] * place.start;
          block.length = Math.max(0, span.length - place.start);
        }
        call(copy as unknown as A);
        for (const one of operands) {
          if (one.isStaged && one.use !== "in") staging.narrowRows(one.block, placeOf(one));
        }
      }
    }
  }
}

/** Operands that share distances are staged if one of them is bf16. */
function operandsOf(args: AttentionArgs, places: readonly Place[], staging: Bf16Staging): Operand[] {
  const numbers = args as unknown as Record<string, number>, spans = args as unknown as Record<string, Span>;
  const { queries, keys, headDim } = args;
  const ofQueries = { rows: queries, cols: groupSize(args) * headDim },
    ofKeys = { rows: keys, cols: headDim };
  const operands = places.map(([field, use, of]) => ({
    ...{ span: spans[field], use, ...(of === "Q" || of === "Out" ? ofQueries : ofKeys) },
    isStaged: places.some(([other, , its]) => its === of && isBf16(spans[other])),
    ...{ ld: numbers[`ld${of}`], stride: numbers[`stride${of}`] },
  }));
  staging.begin(operands.map(({ isStaged, rows, cols }) => isStaged ? rows * cols : 0));
  return operands.map((one) => ({
    ...one,
    block: one.isStaged ? staging.take(one.rows * one.cols) : { ...one.span },
  }));
}

function hasBf16(args: AttentionArgs, places: readonly Place[]): boolean {
  return places.some(([field]) => isBf16((args as unknown as Record<string, unknown>)[field]));
}
