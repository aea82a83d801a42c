import type { DeviceHeap, PagedBatch, Span } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { headRows } from "./attention_arguments.ts";
import { type AttentionInputs, attentionSizes, columnsByTensor } from "./attention_inputs.ts";

/** Sizes of the pages of a layer. */
export interface PageSizes {
  /** Pages of the pool. */
  readonly numPages: number;
  /** Tokens of a page. */
  readonly pageTokens: number;
  /** Most tokens of a sequence. */
  readonly context: number;
}

interface Pages {
  /** Elements of the keys of a token, all heads of keys together. */
  readonly width: number;
  readonly keys: Span;
  readonly values: Span;
}

/**
 * Keys and values of the tokens that one attention layer has seen, of many sequences, in pages of a pool.
 *
 * Source: Kwon et al., PagedAttention, SOSP 2023, section 4.
 */
export class PagedCache {
  readonly #heap: DeviceHeap;
  readonly #sizes: PageSizes;
  readonly #batch: PagedBatch;
  #pages: Pages | undefined;

  /**
   * Allocates nothing before it is known how wide keys are.
   *
   * @param batch What the rows of a pass are; filled before each.
   */
  constructor(heap: DeviceHeap, sizes: PageSizes, batch: PagedBatch) {
    this.#heap = heap;
    this.#sizes = sizes;
    this.#batch = batch;
  }

  /**
   * Records attention of the rows of a batch, each to the keys of its own sequence. For inference only.
   *
   * Shapes: q [1, N, H D], k and v [1, N, G D], result [1, N, H D]; rows of no run have no result.
   *
   * @throws {RangeError} If the keys are of another width than the pages, or the inputs do not fit each other.
   */
  readonly attend = (tape: Tape, inputs: AttentionInputs): Tensor => {
    const { backend } = tape, { tokens, heads, kvHeads, headDim } = attentionSizes(inputs);
    const { pageTokens, context: maxKeys } = this.#sizes, width = kvHeads * headDim;
    const { keys, values } = this.#pagesOf(width);
    const tensors = [...columnsByTensor(inputs).keys()];
    const out = tape.output("attention", [1, tokens, heads * headDim], tensors);
    const q = headRows(inputs.q), k = headRows(inputs.k), v = headRows(inputs.v);
    const args = {
      ...{ batch: this.#batch, heads, kvHeads, headDim, q: q.span, ldQ: q.ld, out: out.span },
      ...{ k: k.span, ldK: k.ld, v: v.span, ldV: v.ld },
      ...{ ldOut: heads * headDim, keyPages: keys, valuePages: values, pageTokens, maxKeys },
      ...{ scale: 1 / Math.sqrt(headDim), window: inputs.window },
    };
    backend.reserve?.("pagedAttention", args);
    return tape.record({
      name: "attention to pages",
      inputs: tensors,
      output: out,
      forward: () => backend.pagedAttention(args),
    });
  };

  #pagesOf(width: number): Pages {
    const { numPages, pageTokens } = this.#sizes, length = numPages * pageTokens * width;
    const take = (name: string) => this.#heap.allocate(name, length, "cache");
    const pages = this.#pages ??= { width, keys: take("key pages"), values: take("value pages") };
    if (pages.width === width) return pages;
    throw new RangeError(
      `Cannot cache keys of ${width} elements: pages were made for ${pages.width} elements each`,
    );
  }
}
