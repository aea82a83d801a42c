/**
 * Weights in fewer bytes: 32 weights of a row share a scale. The blocks are those of GGUF.
 *
 * | format | block of 32 | weight |
 * |---|---|---|
 * | q8_0 | scale f16, 32 int8 | scale x int8 |
 * | q4_0 | scale f16, 16 bytes: weight j in the low bits of byte j, weight j + 16 in the high ones | scale x (4 bits - 8) |
 *
 * Source: ggml, `quantize_row_q8_0_ref` and `quantize_row_q4_0_ref`.
 *
 * @module
 */

/** Formats of weights that have blocks. */
export const BLOCK_FORMATS = ["q8_0", "q4_0"] as const;
/** One of {@link BLOCK_FORMATS}. */
export type BlockFormat = typeof BLOCK_FORMATS[number];

/** Weights of a block. */
export const BLOCK_WEIGHTS = 32;
/** Bytes of a block: scale and weights. */
export const BLOCK_BYTES: Readonly<Record<BlockFormat, number>> = { q8_0: 34, q4_0: 18 };

/**
 * Rounds weights, whole blocks of them.
 *
 * Error: half a scale, where the scale is the largest of the block / 127 (q8_0) or / 8 (q4_0).
 *
 * @returns The blocks, one behind the other.
 */
export function quantiseBlocks(format: BlockFormat, weights: Float32Array): Uint8Array<ArrayBuffer> {
  const numBlocks = weights.length / BLOCK_WEIGHTS, size = BLOCK_BYTES[format], half = 16;
  const blocks = new Uint8Array(numBlocks * size), values = new Int8Array(BLOCK_WEIGHTS);
  for (let i = 0; i < numBlocks; i++) {
    const at = i * size, bits = halfBits(quantiseBlock(format, weights, i * BLOCK_WEIGHTS, values));
    blocks[at] = bits & 255;
    blocks[at + 1] = bits >> 8;
    if (format === "q8_0") blocks.set(values, at + 2);
    else for (let j = 0; j < half; j++) blocks[at + 2 + j] = values[j] + 8 | values[j + half] + 8 << 4;
  }
  return blocks;
}

/** Rounds the block from `first` on: fills `values`, and gives the scale. */
export function quantiseBlock(
  format: BlockFormat,
  weights: Float32Array,
  first: number,
  values: Int8Array,
): number {
  let max = 0;
  for (let j = 0; j < BLOCK_WEIGHTS; j++) {
    const weight = weights[first + j];
    if (Math.abs(weight) > Math.abs(max)) max = weight;
  }
  const scale = Math.fround(format === "q8_0" ? Math.abs(max) / 127 : max / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let j = 0; j < BLOCK_WEIGHTS; j++) {
    const x = Math.fround(weights[first + j] * inverse);
    // As roundf(), halves away from 0; four bits are rounded up from -8.
    if (format === "q8_0") values[j] = x < 0 ? x - 0.5 : x + 0.5;
    else values[j] = Math.min(15, Math.fround(x + 8.5) | 0) - 8;
  }
  return floatOfHalf(halfBits(scale));
}

/** The weights of whole blocks: exact in float32. */
export function dequantiseBlocks(format: BlockFormat, blocks: Uint8Array): Float32Array<ArrayBuffer> {
  const numBlocks = blocks.length / BLOCK_BYTES[format],
    weights = new Float32Array(numBlocks * BLOCK_WEIGHTS);
  const values = new Int8Array(BLOCK_WEIGHTS);
  for (let i = 0; i < numBlocks; i++) {
    const scale = readBlock(format, blocks, i, values);
    for (let j = 0; j < BLOCK_WEIGHTS; j++) weights[i * BLOCK_WEIGHTS + j] = scale * values[j];
  }
  return weights;
}

/** Reads block `i`: fills `values`, and gives the scale. */
export function readBlock(format: BlockFormat, blocks: Uint8Array, i: number, values: Int8Array): number {
  const at = i * BLOCK_BYTES[format], half = 16;
  for (let j = 0; j < half; j++) {
    const byte = blocks[at + 2 + j];
    values[j] = format === "q8_0" ? byte : (byte & 15) - 8;
    values[j + half] = format === "q8_0" ? blocks[at + 2 + half + j] : (byte >> 4) - 8;
  }
  return floatOfHalf(blocks[at] | blocks[at + 1] << 8);
}

const HALF = new Uint16Array(1), HALF_VALUE = new Float16Array(HALF.buffer);

function halfBits(value: number): number {
  HALF_VALUE[0] = value;
  return HALF[0];
}

function floatOfHalf(bits: number): number {
  HALF[0] = bits;
  return HALF_VALUE[0];
}
