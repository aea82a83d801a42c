/** Pages of keys and values, and which of them are free. Pages have numbers from 0. */
export class PagePool {
  /** Pages in all. */
  readonly numPages: number;
  readonly #free: number[];

  /** All pages are free; the lowest are given first. */
  constructor(numPages: number) {
    this.numPages = numPages;
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
  }

  /** Pages that nobody has. */
  get numFree(): number {
    return this.#free.length;
  }

  /** A free page; undefined if there is none. */
  take(): number | undefined {
    return this.#free.pop();
  }

  /** Gives pages back, and empties the list of them. */
  release(pages: number[]): void {
    for (const page of pages.splice(0).reverse()) this.#free.push(page);
  }
}
