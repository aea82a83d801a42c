/**
 * Weights as products read them: panels of 16 outputs, a lane each. In bf16 the 16 weights of an input lie side by side. With
 * blocks, a panel has 16 scales in f32 for every 32 inputs, then four weights of each output, of neighbouring inputs, which
 * one instruction multiplies and adds:
 *
 * | format | behind the scales |
 * |---|---|
 * | q8_0 | 8 x [16 lanes][4] int8: the weights of inputs 4 i to 4 i + 3 |
 * | q4_0 | 4 x [16 lanes][4] bytes: inputs 8 i to 8 i + 3 in the low bits, 8 i + 4 to 8 i + 7 in the high ones |
 *
 * @module
 */
import { BLOCK_WEIGHTS, type BlockFormat, quantiseBlock, readBlock } from "../../files/mod.ts";
import { type WeightFormat } from "./formats.ts";

/** Outputs of a panel. */
export const PANEL_OUTPUTS = 16;
/** Bytes of the scales of 32 inputs. */
export const SCALE_BYTES = 4 * PANEL_OUTPUTS;
/** Bytes of four weights of each output. */
const FOURS = 4 * PANEL_OUTPUTS;
/** Bytes of 32 inputs of a panel. */
export const PANEL_BLOCK_BYTES: Readonly<Record<WeightFormat, number>> = {
  bf16: 2 * PANEL_OUTPUTS * BLOCK_WEIGHTS,
  q8_0: SCALE_BYTES + PANEL_OUTPUTS * BLOCK_WEIGHTS,
  q4_0: SCALE_BYTES + PANEL_OUTPUTS * BLOCK_WEIGHTS / 2,
};

/** Bytes of a weight [outputs, inputs] of whole blocks of inputs; the last panel is filled up. */
export function panelBytes(format: WeightFormat, outputs: number, inputs: number): number {
  return Math.ceil(outputs / PANEL_OUTPUTS) * (inputs / BLOCK_WEIGHTS) * PANEL_BLOCK_BYTES[format];
}

/** A weight [outputs, inputs] in panels. */
export interface Panels {
  /** How its numbers are stored. */
  readonly format: WeightFormat;
  /** A multiple of 32. */
  readonly inputs: number;
  /** All panels. */
  readonly bytes: Uint8Array;
}

/** Places the weights of an output, rounded. */
export function placeWeights(panels: Panels, output: number, weights: Float32Array): void {
  const { format } = panels;
  if (format === "bf16") return placeBf16(panels, output, weights);
  const read = (i: number, values: Int8Array) => quantiseBlock(format, weights, i * BLOCK_WEIGHTS, values);
  placeEach(panels, format, output, read);
}

/** Places the weights of an output that are in blocks of that format already: exact. */
export function placeBlocks(panels: Panels, format: BlockFormat, output: number, blocks: Uint8Array): void {
  placeEach(panels, format, output, (i, values) => readBlock(format, blocks, i, values));
}

/** The weights of one output. */
export function readWeights({ format, inputs, bytes }: Panels, output: number, into: Float32Array): void {
  const lane = output % PANEL_OUTPUTS, size = PANEL_BLOCK_BYTES[format];
  const view = new DataView(bytes.buffer, bytes.byteOffset), isBf16 = format === "bf16";
  let at = panelOf(format, output, inputs);
  for (let i = 0; i < inputs; i += BLOCK_WEIGHTS, at += size) {
    const first = isBf16 ? at + 2 * lane : at + SCALE_BYTES + 4 * lane;
    const scale = isBf16 ? 1 : view.getFloat32(at + 4 * lane, true);
    for (let j = 0; j < BLOCK_WEIGHTS; j++) into[i + j] = scale * VALUE_AT[format](view, first, j);
  }
}

/** Number `j` of a block of a lane, whose first lies at `first`. */
const VALUE_AT: Readonly<Record<WeightFormat, (view: DataView, first: number, j: number) => number>> = {
  bf16: (view, first, j) => floatOfBf16(view.getUint16(first + j * 2 * PANEL_OUTPUTS, true)),
  q8_0: (view, first, j) => view.getInt8(first + (j >> 2) * FOURS + (j & 3)),
  q4_0: (view, first, j) => {
    const byte = view.getUint8(first + (j >> 3) * FOURS + (j & 3));
    return ((j & 4) === 0 ? byte & 15 : byte >> 4) - 8;
  },
};

/** Fills values with those of block `i` of an output, and gives the scale. */
type ReadBlock = (i: number, values: Int8Array) => number;

function placeEach(
  { inputs, bytes }: Panels,
  format: BlockFormat,
  output: number,
  read: ReadBlock,
): void {
  const numBlocks = inputs / BLOCK_WEIGHTS, size = PANEL_BLOCK_BYTES[format], lane = output % PANEL_OUTPUTS;
  const values = new Int8Array(BLOCK_WEIGHTS), view = new DataView(bytes.buffer, bytes.byteOffset);
  const place = format === "q8_0" ? placeQ8 : placeQ4;
  let at = panelOf(format, output, inputs);
  for (let i = 0; i < numBlocks; i++, at += size) {
    view.setFloat32(at + 4 * lane, read(i, values), true);
    place(values, bytes, at + SCALE_BYTES + 4 * lane);
  }
}

function placeQ8(values: Int8Array, bytes: Uint8Array, first: number): void {
  for (let j = 0; j < BLOCK_WEIGHTS; j += 4, first += FOURS) {
    for (let i = 0; i < 4; i++) bytes[first + i] = values[j + i];
  }
}

function placeQ4(values: Int8Array, bytes: Uint8Array, first: number): void {
  for (let j = 0; j < BLOCK_WEIGHTS; j += 8, first += FOURS) {
    for (let i = 0; i < 4; i++) bytes[first + i] = values[j + i] + 8 | values[j + i + 4] + 8 << 4;
  }
}

function placeBf16({ inputs, bytes }: Panels, output: number, weights: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let at = panelOf("bf16", output, inputs) + 2 * (output % PANEL_OUTPUTS);
  for (let i = 0; i < inputs; i++, at += 2 * PANEL_OUTPUTS) view.setUint16(at, bf16Of(weights[i]), true);
}

/** Where the panel of an output begins. */
function panelOf(format: WeightFormat, output: number, inputs: number): number {
  return panelBytes(format, PANEL_OUTPUTS, inputs) * Math.floor(output / PANEL_OUTPUTS);
}

const WORD = new Uint32Array(1), FLOAT = new Float32Array(WORD.buffer);

function floatOfBf16(bits: number): number {
  WORD[0] = bits << 16;
  return FLOAT[0];
}

/** The upper half, rounded to nearest, ties to even. */
function bf16Of(value: number): number {
  FLOAT[0] = value;
  const bits = WORD[0];
  return Number.isNaN(value) ? bits >>> 16 | 64 : (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16;
}
