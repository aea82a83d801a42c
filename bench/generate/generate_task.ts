import type { Timed } from "../rounds.ts";

/** The model whose generation is measured: a Llama of 98 million parameters. */
export const MODEL = {
  ...{ layers: 12, heads: 12, kvHeads: 12, embed: 768, inner: 2048, context: 1024, vocab: 8192 },
} as const;

/** `Llama 12 x 768`. */
export const MODEL_NAME = `Llama ${MODEL.layers} x ${MODEL.embed}`;

/** Formats of weights that are measured. */
export const FORMATS = ["f32", "q8_0", "q4_0"] as const;
/** One of {@link FORMATS}. */
export type Format = typeof FORMATS[number];

/** What is measured: a prompt that is read, one text that is written, and many. */
export const PHASES = ["prefill", "decode", "batch"] as const;
/** One of {@link PHASES}. */
export type Phase = typeof PHASES[number];

/** Sizes of a phase. */
export interface PhaseSizes {
  /** Texts at a time. */
  readonly sequences: number;
  /** Tokens of each prompt. */
  readonly prompt: number;
  /** Tokens that are written to each. */
  readonly written: number;
}

/** Tokens that count are those of the prompt in prefill, and those behind the first that is written in the others. */
export const SIZES: Readonly<Record<Phase, PhaseSizes>> = {
  prefill: { sequences: 1, prompt: 512, written: 1 },
  decode: { sequences: 1, prompt: 16, written: 65 },
  batch: { sequences: 32, prompt: 16, written: 17 },
};

/** Tokens that are counted. */
export function countedTokens(phase: Phase): number {
  const { sequences, prompt, written } = SIZES[phase];
  return phase === "prefill" ? prompt : sequences * (written - 1);
}

/** The ids of a prompt. */
export function promptOf(length: number, text: number): number[] {
  return Array.from({ length }, (_, i) => (37 * i + 101 * text + length) % 8000);
}

/** What all contestants start from. */
export interface GenerateSetUp {
  /** Directory of the model. */
  readonly folder: string;
  /** The same as a GGUF file with its weights in the format. */
  readonly file: string;
  /** Of the weights. */
  readonly format: Format;
  /** Devices or threads. */
  readonly devices: number;
}

/** A phase to go through once. */
export interface GenerateTask {
  readonly phase: Phase;
}

/** How long the counted tokens took. */
export type GenerateAnswer = Timed;
