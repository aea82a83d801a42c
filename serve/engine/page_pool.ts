/** Where the pages of a sequence stand among those that are known: what comes before it is in the pages before. */
export type Prefix = number;

/** Before the first page. */
export const NO_PREFIX: Prefix = 0;

/** A page whose keys and values are known to be those of some tokens behind some prefix. */
interface Known {
  readonly key: string;
  /** Of what comes behind it. */
  readonly prefix: Prefix;
}

/**
 * Pages of keys and values. Pages have numbers from 0; several sequences may have the same one, if its tokens and all before
 * them are the same. One that nobody has any more is kept until it is needed, the one that was left first going first.
 *
 * Source: Kwon et al., PagedAttention, SOSP 2023, section 4.4 (shared prefixes).
 */
export class PagePool {
  /** Pages in all. */
  readonly numPages: number;
  readonly #free: number[];
  /** Sequences that have a page. */
  readonly #owners: number[];
  readonly #known: (Known | undefined)[];
  readonly #byKey = new Map<string, number>();
  /** Known pages that nobody has, in the order in which they were left. */
  readonly #idle = new Set<number>();
  #lastPrefix: Prefix = NO_PREFIX;

  /** All pages are free; the lowest are given first. */
  constructor(numPages: number) {
    this.numPages = numPages;
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
    this.#owners = Array(numPages).fill(0);
    this.#known = Array(numPages).fill(undefined);
  }

  /** Pages that nobody has. */
  get numFree(): number {
    return this.#free.length + this.#idle.size;
  }

  /** A page that nobody has; undefined if there is none. What it held is forgotten. */
  take(): number | undefined {
    const page = this.#free.pop() ?? this.#forgetOldest();
    if (page !== undefined) this.#owners[page] = 1;
    return page;
  }

  /** The page that holds these tokens behind a prefix, which the caller has from now on; undefined if none is known. */
  share(
    prefix: Prefix,
    tokens: readonly number[],
  ): { readonly page: number; readonly prefix: Prefix } | undefined {
    const page = this.#byKey.get(keyOf(prefix, tokens));
    if (page === undefined) return undefined;
    this.#idle.delete(page);
    this.#owners[page]++;
    return { page, prefix: this.#known[page]!.prefix };
  }

  /** Says that a page is full, of these tokens behind a prefix; gives the prefix of what comes behind it. */
  learn(page: number, prefix: Prefix, tokens: readonly number[]): Prefix {
    const key = keyOf(prefix, tokens), other = this.#byKey.get(key);
    if (other !== undefined) return this.#known[other]!.prefix;
    const known = { key, prefix: ++this.#lastPrefix };
    this.#byKey.set(key, page);
    this.#known[page] = known;
    return known.prefix;
  }

  /** Gives pages back, the last first, and empties the list of them. */
  release(pages: number[]): void {
    // What comes behind another page is of no use without it, so it goes first.
    for (const page of pages.splice(0).reverse()) {
      if (--this.#owners[page] > 0) continue;
      if (this.#known[page] === undefined) this.#free.push(page);
      else this.#idle.add(page);
    }
  }

  #forgetOldest(): number | undefined {
    const [page] = this.#idle;
    if (page === undefined) return undefined;
    this.#idle.delete(page);
    this.#byKey.delete(this.#known[page]!.key);
    this.#known[page] = undefined;
    return page;
  }
}

function keyOf(prefix: Prefix, tokens: readonly number[]): string {
  return `${prefix}:${tokens.join()}`;
}
