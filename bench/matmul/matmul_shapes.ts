/** A product: `C [m, n] = op(A) op(B)`, each operand stored as it is or transposed. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** A is stored [k, m]. */
  readonly transposeA?: boolean;
  /** B is stored [n, k]. */
  readonly transposeB?: boolean;
  /** Where it comes from. */
  readonly use?: string;
}

/** A GPT whose linear layers are measured. */
export interface GptShape {
  readonly name: string;
  readonly embed: number;
  readonly vocab: number;
  /** Tokens of a step of one device. */
  readonly rows: number;
}

/** Square products. */
export const SQUARES: readonly MatmulShape[] = [256, 512, 1024, 2048].map((n) => ({ m: n, n, k: n }));

/** The models of `bench step` as one of two replicas has them. */
export const GPT_SHAPES: readonly GptShape[] = [
  { name: "4 x 128", embed: 128, vocab: 256, rows: 64 * 6 },
  { name: "6 x 384", embed: 384, vocab: 256, rows: 256 * 2 },
];

/** The products of the linear layers of a step: forward, and the two of backward. */
export function gptProducts({ name, embed, vocab, rows }: GptShape): MatmulShape[] {
  const layers = [
    ["qkv", embed, 3 * embed],
    ["attention projection", embed, embed],
    ["fc", embed, 4 * embed],
    ["fc projection", 4 * embed, embed],
  ] as const;
  const use = (layer: string, pass: string) => ({ use: `${name} ${layer}, ${pass}` });
  const linear = layers.flatMap(([layer, input, output]) => [
    { m: rows, n: output, k: input, ...use(layer, "forward") },
    { m: rows, n: input, k: output, transposeB: true, ...use(layer, "d input") },
    { m: input, n: output, k: rows, transposeA: true, ...use(layer, "d weight") },
  ]);
  // The head's weight is the token table, stored [vocab, embed].
  return [
    ...linear,
    { m: rows, n: vocab, k: embed, transposeB: true, ...use("head", "forward") },
    { m: rows, n: embed, k: vocab, ...use("head", "d input") },
    { m: vocab, n: embed, k: rows, transposeA: true, ...use("head", "d weight") },
  ];
}

/** `384 x 128 x 512, A^T: 4 x 128 fc, d weight`. */
export function describeShape({ m, n, k, transposeA, transposeB, use }: MatmulShape): string {
  const stored = transposeA ? ", A^T" : transposeB ? ", B^T" : "";
  return `${m} x ${n} x ${k}${stored}${use === undefined ? "" : `: ${use}`}`;
}

/** Multiplications and additions of a product. */
export function operationsOf({ m, n, k }: MatmulShape): number {
  return 2 * m * n * k;
}

/** Most products of a measurement, for those of no size to speak of. */
const MAX_COUNT = 1000;

/** How often to do a product for about so much work. */
export function countFor(shape: MatmulShape, operations: number): number {
  return Math.max(1, Math.min(MAX_COUNT, Math.round(operations / operationsOf(shape))));
}
