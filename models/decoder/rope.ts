/**
 * Angles of rotary positions, and how they are stretched for sequences longer than those of the pretraining.
 *
 * Sources: Su et al., RoFormer, 2021; Chen et al., Extending Context Window of LLMs via Position Interpolation, 2023
 * (linear); Dubey et al., The Llama 3 Herd of Models, 2024, and the code of its release (llama3); Peng et al., YaRN, 2023,
 * sections 3.2 to 3.4.
 */
import type { RotaryTable } from "../../nn/mod.ts";

/** Positions of a model. */
export interface RopeConfig {
  /** Base of the frequencies: pair i of D / 2 turns by `theta^(-2 i / D)` radians from token to token. */
  readonly theta: number;
  /** By default none. */
  readonly scaling?: RopeScaling;
}

/** How frequencies are changed. */
export type RopeScaling =
  | { readonly type: "linear"; readonly factor: number }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalContext: number;
  }
  | {
    readonly type: "yarn";
    readonly factor: number;
    readonly originalContext: number;
    /** Turns within the original context above which a pair is left as it is. */
    readonly betaFast: number;
    /** Turns below which it is stretched by all of the factor. */
    readonly betaSlow: number;
    /** What cosines and sines are multiplied by; by default `0.1 ln(factor) + 1`. */
    readonly attentionFactor?: number;
    /** Bounds of the ramp between both are whole pairs. */
    readonly truncate: boolean;
  };

/** The angles of a model with heads of `headDim` elements. */
export function rotaryTable({ theta, scaling }: RopeConfig, headDim: number, context: number): RotaryTable {
  const half = headDim / 2;
  const base = Array.from({ length: half }, (_, i) => theta ** (-2 * i / headDim));
  switch (scaling?.type) {
    case undefined:
      return { frequencies: base, scale: 1, context };
    case "linear":
      return { frequencies: base.map((frequency) => frequency / scaling.factor), scale: 1, context };
    case "llama3":
      return { frequencies: base.map((frequency) => llama3(frequency, scaling)), scale: 1, context };
    case "yarn": {
      const scale = scaling.attentionFactor ?? attentionFactor(scaling.factor);
      return { frequencies: yarn(base, { ...scaling, theta, headDim }), scale, context };
    }
  }
}

/** YaRN's answer to a longer context: scores are multiplied by its square. Source: Peng et al. 2023, section 3.4. */
export function attentionFactor(factor: number, weight = 1): number {
  return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
}

/** Long waves are stretched, short ones are not, and those between by a mixture. */
function llama3(frequency: number, scaling: Extract<RopeScaling, { type: "llama3" }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const turns = originalContext * frequency / (2 * Math.PI);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const share = (turns - low) / (high - low);
  return (1 - share) * frequency / factor + share * frequency;
}

type Yarn = Extract<RopeScaling, { type: "yarn" }> & { readonly theta: number; readonly headDim: number };

function yarn(base: readonly number[], scaling: Yarn): number[] {
  const { factor, originalContext, betaFast, betaSlow, truncate, theta, headDim } = scaling;
  const pairOf = (turns: number) =>
    headDim * Math.log(originalContext / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const end = Math.min(truncate ? Math.ceil(last) : last, headDim - 1),
    high = end === low ? end + 0.001 : end;
  return base.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return stretched * frequency / factor + (1 - stretched) * frequency;
  });
}
