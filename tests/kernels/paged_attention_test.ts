/** Attention to pages beside attention to keys that lie in a row, and beside itself with other pages and other runs. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Backend, DeviceHeap, ReferenceBackend, type Span } from "../../kernels/mod.ts";
import { makeBackend } from "../support/device.ts";

const SIZES = { heads: 6, kvHeads: 2, headDim: 8, pageTokens: 16, maxKeys: 160, scale: 0.3 };
const WIDTH = SIZES.kvHeads * SIZES.headDim, Q_WIDTH = SIZES.heads * SIZES.headDim, NUM_PAGES = 12;

/** A run: rows of the sequence from a position on. */
type Run = readonly [rows: number, position: number];

const wave = (seed: number) => (i: number) => Math.sin(seed + 1.7 * i) + Math.cos(seed * i * 0.013);
const referenceBackend = () => new ReferenceBackend(makeBackend().heap);

function fill(heap: DeviceHeap, span: Span, value: (i: number) => number): Span {
  const elements = heap.f32(span);
  for (let i = 0; i < elements.length; i++) elements[i] = value(i);
  return span;
}

/** Results for all tokens of a sequence of `tokens`, whose key j lies in page `pages[j / 16]`. */
function attendPages(
  backend: Backend,
  { tokens, pages, runs, window }: {
    readonly tokens: number;
    readonly pages: readonly number[];
    readonly runs: readonly Run[];
    readonly window?: number;
  },
): Float32Array {
  const { heap } = backend;
  const floats = (name: string, length: number) => heap.allocate(name, length, "activations");
  const words = (name: string, values: readonly number[]) => {
    const span = heap.allocate(name, values.length, "activations", "i32");
    heap.i32(span).set(values);
    return span;
  };
  const pool = NUM_PAGES * SIZES.pageTokens * WIDTH,
    keyPages = floats("k", pool),
    valuePages = floats("v", pool);
  // What other sequences have left in the pages must not matter.
  fill(heap, keyPages, () => NaN);
  fill(heap, valuePages, () => NaN);
  const [k, v] = [1, 2].map((seed) => fill(heap, floats("new", tokens * WIDTH), wave(seed)));
  const q = fill(heap, floats("q", tokens * Q_WIDTH), wave(3)), out = floats("out", tokens * Q_WIDTH);
  const rows = runs.map(([rows, position]) => [position, rows, position, 0]);
  backend.pagedAttention({
    ...SIZES,
    batch: { runs: words("runs", [runs.length, ...rows.flat()]), tables: words("tables", pages) },
    ...{ q, ldQ: Q_WIDTH, k, ldK: WIDTH, v, ldV: WIDTH, out, ldOut: Q_WIDTH, keyPages, valuePages, window },
  });
  return heap.f32(out).slice();
}

const TOKENS = 130, IN_ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 8], SHUFFLED = [7, 3, 11, 0, 9, 2, 5, 1, 10];

for (const window of [undefined, 1, 20]) {
  const name = window === undefined ? "" : ` and a window of ${window}`;

  Deno.test(`pagedAttention() has one result, to the bit, whatever the pages and the runs${name}`, () => {
    const whole = attendPages(makeBackend(), {
      tokens: TOKENS,
      pages: IN_ORDER,
      runs: [[TOKENS, 0]],
      window,
    });
    assert(whole.every(Number.isFinite));
    const single: Run[] = Array.from({ length: TOKENS }, (_, i) => [1, i]);
    const chunks: Run[] = [[64, 66], [7, 0], [59, 7]];
    for (const runs of [single, chunks]) {
      for (const pages of [IN_ORDER, SHUFFLED]) {
        const actual = attendPages(makeBackend(), { tokens: TOKENS, pages, runs, window });
        assertEquals(new Uint32Array(actual.buffer), new Uint32Array(whole.buffer));
      }
    }
  });

  Deno.test(`pagedAttention() is that of the reference backend${name}`, () => {
    const given = { tokens: TOKENS, pages: SHUFFLED, runs: [[100, 0], [30, 100]] as Run[], window };
    const actual = attendPages(makeBackend(), given), expected = attendPages(referenceBackend(), given);
    for (const [i, value] of actual.entries()) assert(Math.abs(value - expected[i]) < 1e-5, `element ${i}`);
  });
}

Deno.test("pagedAttention() is attention to keys in a row", () => {
  const backend = makeBackend(), { heap } = backend, tokens = 50;
  const floats = (length: number, seed: number) =>
    fill(heap, heap.allocate("x", length, "activations"), wave(seed));
  const k = floats(tokens * WIDTH, 1), v = floats(tokens * WIDTH, 2), q = floats(tokens * Q_WIDTH, 3);
  const out = heap.allocate("out", tokens * Q_WIDTH, "activations");
  const logSumExp = heap.allocate("lse", SIZES.heads * tokens, "activations");
  backend.attention({
    ...SIZES,
    ...{ batch: 1, queries: tokens, keys: tokens, q, k, v, out, logSumExp, causal: true },
    ...{
      ldQ: Q_WIDTH,
      ldK: WIDTH,
      ldV: WIDTH,
      ldOut: Q_WIDTH,
      strideQ: 0,
      strideK: 0,
      strideV: 0,
      strideOut: 0,
    },
  });
  const actual = attendPages(makeBackend(), { tokens, pages: [4, 2, 0, 1], runs: [[tokens, 0]] });
  assertEquals(actual, heap.f32(out).slice());
});

Deno.test("pagedAttention() refuses pages and positions that are not there", () => {
  const attend = (given: Partial<Parameters<typeof attendPages>[1]>) => () =>
    attendPages(makeBackend(), { tokens: 20, pages: [0, 1], runs: [[20, 0]], ...given });
  assertThrows(attend({ runs: [[20, 20]] }), RangeError, "run 0 has 20 rows at 20 with pages at 0");
  assertThrows(attend({ runs: [[0, 3]] }), RangeError, "run 0 has 0 rows");
  assertThrows(attend({ pages: [0, 12] }), RangeError, "names page 12");
});
