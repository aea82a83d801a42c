/**
 * Types of the options, derived from their table: what the library takes, and what a checked configuration has.
 *
 * @module
 */
import type { TRAIN_OPTIONS } from "./options.ts";

/** One of them. */
export type TrainOption = typeof TRAIN_OPTIONS[number];

/** What the library takes for an option. */
export type Taken<Spec> = Spec extends { choices: readonly (infer Choice)[] } ? Choice
  : Spec extends { kind: "flag" } ? boolean
  : Spec extends { kind: "text" } ? string
  : Spec extends { kind: "bytes" } ? number | string
  : number;

/** What a checked configuration has: bytes are a number, some numbers one of a few, and what has a default is there. */
export type Settled<Spec> =
  | (Spec extends { values: readonly (infer Value)[] } ? Value
    : Spec extends { kind: "bytes" } ? number
    : Taken<Spec>)
  | (Spec extends { default: unknown } ? never : undefined);

/** The options of {@link TRAIN_OPTIONS} in the library, by their camelCase names. */
export type OptionValues = { readonly [Spec in TrainOption as Spec["key"]]?: Taken<Spec> };

/** The same, complete with defaults; undefined is what follows from others. */
export type SettledOptions = { readonly [Spec in TrainOption as Spec["key"]]: Settled<Spec> };
