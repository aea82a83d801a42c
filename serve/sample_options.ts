import { type OptionSpec, parseOption } from "../train/mod.ts";

/** How to generate. */
export interface SampleOptions {
  /** Tokens to go on from; at least one. */
  readonly prompt: readonly number[];
  /** Tokens to write. */
  readonly numTokens: number;
  /** 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Choose among this many; 0 = all. */
  readonly topK: number;
  /** Choose among the likeliest tokens of this share; 1 = all. */
  readonly topP?: number;
  /** Leave out what is less likely than this share of the likeliest token. */
  readonly minP?: number;
  /** Above 1 tokens of the text come again less often. */
  readonly repetitionPenalty?: number;
  /** Above 0 tokens that were written come again less often. */
  readonly presencePenalty?: number;
  /** The same, for each time that they were written. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of tokens, by id. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Of the choice of tokens. */
  readonly seed: number;
  /** Ids that end the text; they are not part of it. */
  readonly endTokens?: readonly number[];
}

/** How tokens are chosen. */
export type SampleChoice = Required<Omit<SampleOptions, "prompt" | "endTokens" | "logitBias">>;

/** An option of sampling. */
export type SampleOptionSpec = OptionSpec & {
  /** Name in the library; `key` is that of the command line. */
  readonly name: keyof SampleChoice;
  readonly default: number;
};

/** The options of sampling, for the command line and the library. */
export const SAMPLE_OPTIONS: readonly SampleOptionSpec[] = [
  { name: "numTokens", key: "tokens", kind: "integer", min: 1, default: 200, help: "tokens to write" },
  {
    ...{ name: "temperature", key: "temperature", kind: "number", min: 0, default: 0.8 },
    help: "below 1 safer, above 1 wilder; 0 always takes the likeliest token",
  },
  {
    ...{ name: "topK", key: "topK", kind: "integer", min: 0, default: 0 },
    help: "choose among the N likeliest tokens; 0 = all",
  },
  {
    ...{ name: "topP", key: "topP", kind: "number", min: 0, isMinOpen: true, max: 1, default: 1 },
    help: "choose among the likeliest tokens that have this share of the probability; 1 = all",
  },
  {
    ...{ name: "minP", key: "minP", kind: "number", min: 0, max: 1, default: 0 },
    help: "leave out tokens less likely than this share of the likeliest one",
  },
  {
    ...{
      name: "repetitionPenalty",
      key: "repetitionPenalty",
      kind: "number",
      min: 0,
      isMinOpen: true,
      default: 1,
    },
    help: "above 1 tokens that the text has come again less often",
  },
  ...(["presencePenalty", "frequencyPenalty"] as const).map((name): SampleOptionSpec => ({
    ...{ name, key: name, kind: "number", min: -2, max: 2, default: 0 },
    help: `above 0 tokens that were written come again less often${
      name === "presencePenalty" ? "" : ", each time less"
    }`,
  })),
  {
    ...{ name: "seed", key: "seed", kind: "integer", min: 0, max: 2 ** 32 - 1, default: 1337 },
    help: "of the choice",
  },
];

/**
 * Completes and checks options of sampling: texts of the command line, or values of the library.
 *
 * @throws {UsageError} One line: what is wrong, what is allowed.
 */
export function resolveSample(
  given: { readonly [name in keyof SampleChoice]?: string | number | boolean },
): SampleChoice {
  const entries = SAMPLE_OPTIONS.map((
    spec,
  ) => [spec.name, parseOption(spec, given[spec.name] ?? spec.default)]);
  return Object.fromEntries(entries);
}
