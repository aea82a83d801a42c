import type { Timed } from "../rounds.ts";

/** A model whose training step is measured; `batch` sequences of `context` tokens. */
export interface StepModel {
  /** Its family; by default a GPT-2. */
  readonly model?: "llama";
  /** Of a Llama: heads of keys. */
  readonly kvHeads?: number;
  /** Of a Llama: width inside of feed-forward layers. */
  readonly inner?: number;
  readonly layers: number;
  readonly heads: number;
  readonly embed: number;
  readonly context: number;
  readonly batch: number;
  readonly vocab: number;
}

/** Where all contestants start from, and how they step. */
export interface StepSetUp {
  readonly model: StepModel;
  readonly recipe: typeof RECIPE;
  /** Devices, processes or threads to use. */
  readonly devices: number;
  /** Folder with `weights.safetensors` and `tokens.bin`. */
  readonly folder: string;
}

/** Steps to make in a round. */
export interface StepTask {
  /** Untimed steps first. */
  readonly warmUps: number;
  readonly steps: number;
}

/** What a contestant says of them. */
export interface StepAnswer extends Timed {
  /** Of all steps of the round, in nats a token. */
  readonly losses: readonly number[];
}

/** AdamW of all contestants: no warm-up, decay or clipping, so that a step is the same arithmetic for all. */
export const RECIPE = { lr: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 } as const;

/** The models of the suite. */
export const SMALL: StepModel = { layers: 4, heads: 4, embed: 128, context: 64, batch: 12, vocab: 256 };
/** The larger one. */
export const LARGE: StepModel = { layers: 6, heads: 6, embed: 384, context: 256, batch: 4, vocab: 256 };

/** A Llama as wide as the larger GPT. */
export const LLAMA: StepModel = {
  ...{ model: "llama", layers: 6, heads: 4, kvHeads: 2, embed: 384, inner: 1024 },
  ...{ context: 256, batch: 4, vocab: 256 },
};

/** `GPT 4 x 128, T 64, batch 12`. */
export function describeModel({ model, layers, embed, context, batch }: StepModel): string {
  return `${model === "llama" ? "Llama" : "GPT"} ${layers} x ${embed}, T ${context}, batch ${batch}`;
}
