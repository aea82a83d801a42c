/**
 * Learning a byte-level BPE: the pairs of neighbours that are merged, the most frequent first.
 *
 * Of pairs that are as frequent as each other, the one whose first token has the smaller id goes first, then the one whose
 * second token has. Words are cut as GPT-2 cuts them, and no merge crosses their ends.
 *
 * Source: Sennrich, Haddow and Birch, Neural Machine Translation of Rare Words with Subword Units, ACL 2016; Radford et
 * al., Language Models are Unsupervised Multitask Learners, 2019, section 2.2 (bytes).
 *
 * @module
 */

/** How GPT-2 cuts words. */
const WORD = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
/** Ids below are bytes. */
const NUM_BYTES = 256;
/** A pair as one number. */
const RADIX = 2 ** 24;

/** Two tokens that become one. */
export type Merge = readonly [left: number, right: number];

/** Counts the words of texts. */
export class WordCounts {
  /** By word. */
  readonly counts: Map<string, number> = new Map();

  /** Adds those of a text, which must not end inside a word. */
  add(text: string): void {
    for (const [word] of text.matchAll(WORD)) this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }
}

/**
 * The merges that a text's words ask for: token 256 + i is what merge i makes.
 *
 * Cost: about the length of the distinct words, times the logarithm of the number of pairs, for all merges.
 *
 * @param counts Of words.
 * @param numMerges How many to learn; fewer if no pair is left that is there twice.
 */
export function learnMerges(counts: ReadonlyMap<string, number>, numMerges: number): Merge[] {
  const encoder = new TextEncoder(), pairs = new PairCounts();
  const words = [...counts].map(([word, count]): Word => ({ ids: [...encoder.encode(word)], count }));
  words.forEach(({ ids, count }, w) => {
    for (let i = 0; i + 1 < ids.length; i++) pairs.add(pairOf(ids[i], ids[i + 1]), count, w);
  });
  pairs.settle();
  const merges: Merge[] = [];
  while (merges.length < numMerges) {
    const pair = pairs.takeMostFrequent();
    if (pair === undefined) break;
    const left = Math.floor(pair / RADIX), right = pair % RADIX, made = NUM_BYTES + merges.length;
    merges.push([left, right]);
    for (const w of pairs.wordsOf(pair)) mergeIn(words[w], w, { left, right, made }, pairs);
    pairs.remove(pair);
    pairs.settle();
  }
  return merges;
}

interface Word {
  ids: number[];
  readonly count: number;
}

function pairOf(left: number, right: number): number {
  return left * RADIX + right;
}

/** Merges a pair in a word, and counts what its neighbours are now. */
function mergeIn(
  word: Word,
  index: number,
  { left, right, made }: { readonly left: number; readonly right: number; readonly made: number },
  pairs: PairCounts,
): void {
  const { ids, count } = word, merged: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== left || ids[i + 1] !== right) {
      merged.push(ids[i]);
      continue;
    }
    const before = merged.at(-1), after = ids[i + 2];
    if (before !== undefined) {
      pairs.add(pairOf(before, left), -count, index);
      pairs.add(pairOf(before, made), count, index);
    }
    if (after !== undefined) {
      pairs.add(pairOf(right, after), -count, index);
      pairs.add(pairOf(made, after), count, index);
    }
    merged.push(made);
    i++;
  }
  word.ids = merged;
}

/** How often pairs occur, and in which words; a heap of them, in which an entry may be out of date. */
class PairCounts {
  readonly #counts = new Map<number, number>();
  readonly #words = new Map<number, Set<number>>();
  readonly #changed = new Set<number>();
  readonly #heap: { readonly pair: number; readonly count: number }[] = [];

  add(pair: number, count: number, word: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + count);
    this.#changed.add(pair);
    if (count < 0) return;
    const words = this.#words.get(pair);
    if (words === undefined) this.#words.set(pair, new Set([word]));
    else words.add(word);
  }

  /** Puts what has changed into the heap. */
  settle(): void {
    for (const pair of this.#changed) this.#push(pair, this.#counts.get(pair)!);
    this.#changed.clear();
  }

  wordsOf(pair: number): ReadonlySet<number> {
    return this.#words.get(pair)!;
  }

  remove(pair: number): void {
    this.#counts.delete(pair);
    this.#words.delete(pair);
    this.#changed.delete(pair);
  }

  /** The most frequent pair that is there twice at least. */
  takeMostFrequent(): number | undefined {
    for (let top = this.#pop(); top !== undefined; top = this.#pop()) {
      if (this.#counts.get(top.pair) !== top.count) continue;
      return top.count < 2 ? undefined : top.pair;
    }
    return undefined;
  }

  #push(pair: number, count: number): void {
    if (count < 2) return;
    const heap = this.#heap;
    let place = heap.push({ pair, count }) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(heap[place], heap[parent])) return;
      [heap[place], heap[parent]] = [heap[parent], heap[place]];
      place = parent;
    }
  }

  #pop(): { readonly pair: number; readonly count: number } | undefined {
    const heap = this.#heap, [top] = heap, last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let place = 0;;) {
      const children = [2 * place + 1, 2 * place + 2].filter((child) => child < heap.length);
      const first = children.reduce((best, child) => isBefore(heap[child], heap[best]) ? child : best, place);
      if (first === place) return top;
      [heap[place], heap[first]] = [heap[first], heap[place]];
      place = first;
    }
  }
}

function isBefore(
  a: { readonly pair: number; readonly count: number },
  b: { readonly pair: number; readonly count: number },
): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair);
}
