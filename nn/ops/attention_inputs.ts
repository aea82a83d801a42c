/**
 * What attention reads: heads side by side in the columns of one tensor or of three, read where they lie.
 *
 * Letters: B samples, T tokens, H heads of queries, G heads of keys and values, D the width of a head.
 *
 * Source: Shazeer, Fast Transformer Decoding: One Write-Head is All You Need, 2019; Ainslie et al., GQA, EMNLP 2023.
 */
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Heads side by side in the rows of a tensor [B, T, W]: the row stride is W. */
export interface ColumnView {
  /** [B, T, W]. */
  readonly tensor: Tensor;
  /** Column of the first element of the first head. */
  readonly column: number;
}

/** Queries, keys and values; their tensors may be one. Together they read each column of a tensor once. */
export interface AttentionInputs {
  /** H D columns. */
  readonly q: ColumnView;
  /** G D columns. */
  readonly k: ColumnView;
  /** G D columns. */
  readonly v: ColumnView;
  /** H, on this device. */
  readonly heads: number;
  /** G, on this device, a divisor of H: head h of the queries reads head floor(h / (H / G)). */
  readonly kvHeads: number;
  /** D. */
  readonly headDim: number;
  /** Keys that a query sees, itself included; by default all before it. */
  readonly window?: number;
}

/** Sizes of attention within the rows of a batch. */
export interface AttentionSizes extends Pick<AttentionInputs, "heads" | "kvHeads" | "headDim"> {
  /** B. */
  readonly batch: number;
  /** T: rows of a sample on this device. */
  readonly tokens: number;
}

/**
 * Queries, keys and values behind one another in a fused projection.
 *
 * Shapes: qkv [B, T, (H + 2 G) D]; H and G may be those of a part of the heads.
 *
 * @param sizes D, and H / G: how many heads of queries read one of keys.
 * @throws {RangeError} If the last dim of qkv is no multiple of (H / G + 2) D.
 */
export function fusedInputs(
  qkv: Tensor,
  { headDim, group }: { readonly headDim: number; readonly group: number },
): AttentionInputs {
  const { name, shape } = qkv, kvHeads = shape[2] / ((group + 2) * headDim), heads = group * kvHeads;
  if (shape.length !== 3 || !Number.isInteger(kvHeads)) {
    throw new RangeError(
      `Cannot split ${name} ${
        formatShape(shape)
      } into q, k and v with heads of ${headDim}: the last dim must be a ` +
        `multiple of ${group + 2} x ${headDim}`,
    );
  }
  const [q, k, v] = [0, heads, heads + kvHeads].map((head) => ({ tensor: qkv, column: head * headDim }));
  return { q, k, v, heads, kvHeads, headDim };
}

/**
 * Queries, keys and values in tensors of their own.
 *
 * Shapes: q [B, T, H D], k and v [B, T, G D].
 *
 * @param headDim D.
 * @param window See {@link AttentionInputs}.
 * @throws {RangeError} If a last dim is no multiple of D.
 */
export function separateInputs(
  tensors: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  headDim: number,
  window?: number,
): AttentionInputs {
  const countOf = ({ name, shape }: Tensor): number => {
    if (shape.length === 3 && shape[2] % headDim === 0) return shape[2] / headDim;
    throw new RangeError(
      `Cannot split ${name} ${
        formatShape(shape)
      } into heads of ${headDim}: it must be [B, T, C] with C a multiple of ` +
        `${headDim}`,
    );
  };
  const view = (tensor: Tensor): ColumnView => ({ tensor, column: 0 }), { q, k, v } = tensors;
  return { q: view(q), k: view(k), v: view(v), heads: countOf(q), kvHeads: countOf(k), headDim, window };
}

/** The views of each tensor of the inputs, by column, with their numbers of columns. */
export function columnsByTensor(inputs: AttentionInputs): Map<Tensor, { view: ColumnView; width: number }[]> {
  const { q, k, v, heads, kvHeads, headDim } = inputs,
    views = new Map<Tensor, { view: ColumnView; width: number }[]>();
  for (const [view, count] of [[q, heads], [k, kvHeads], [v, kvHeads]] as const) {
    views.set(view.tensor, [...views.get(view.tensor) ?? [], { view, width: count * headDim }]);
  }
  for (const list of views.values()) list.sort((a, b) => a.view.column - b.view.column);
  return views;
}

/**
 * Checks inputs, and says their sizes.
 *
 * @throws {RangeError} If tensors have other rows than the others, a column is not read once, or heads cannot be shared.
 */
export function attentionSizes(inputs: AttentionInputs): AttentionSizes {
  const { heads, kvHeads, headDim, q } = inputs, [batch, tokens] = q.tensor.shape;
  checkSharing(heads, kvHeads, q.tensor.name);
  for (const [{ name, shape }, views] of columnsByTensor(inputs)) {
    if (shape.length !== 3 || shape[0] !== batch || shape[1] !== tokens) {
      throw new RangeError(
        `Cannot attend from ${q.tensor.name} ${formatShape(q.tensor.shape)} to ${name} ${
          formatShape(shape)
        }: both must ` +
          `have the same samples and tokens`,
      );
    }
    let end = 0;
    const isTiled = views.every(({ view, width }) => view.column === (end += width) - width);
    if (isTiled && end === shape[2]) continue;
    throw new RangeError(
      `Cannot attend within ${name} ${formatShape(shape)}: q, k and v must read each column once, ` +
        `theirs are ${views.map(({ view, width }) => `${view.column} to ${view.column + width}`).join(", ")}`,
    );
  }
  return { batch, tokens, heads, kvHeads, headDim };
}

/**
 * Refuses heads of keys that do not divide those of queries.
 *
 * @param what Name of the layer or tensor, for the error.
 * @throws {RangeError} Names both numbers.
 */
export function checkSharing(heads: number, kvHeads: number, what: string): void {
  if (kvHeads > 0 && heads % kvHeads === 0) return;
  throw new RangeError(
    `Cannot share ${kvHeads} heads of keys and values among ${heads} heads of queries in ${what}: kvHeads must divide ` +
      `heads`,
  );
}
