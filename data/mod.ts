/**
 * Training data: corpora of tokens, a user's own samples, and the order in which a run sees them.
 *
 * @example The data order of a run depends on its seed and the step only
 * ```ts
 * import { corpusFromText, sampleStart } from "@tessera/tessera/data";
 *
 * const corpus = corpusFromText("a text", "the whale ".repeat(100), { context: 16, batch: 2 });
 * const order = { order: "shuffle", seed: 1337, context: 16 } as const;
 * console.log(sampleStart(0, { ...order, numTokens: corpus.train.end }), corpus.statement);
 * ```
 *
 * @module
 */
export * from "./conversations.ts";
export * from "./corpus.ts";
export * from "./data_spec.ts";
export * from "./fingerprint.ts";
export * from "./load_data.ts";
export * from "./order.ts";
export * from "./pack.ts";
export * from "./prepared.ts";
export * from "./raw_bytes.ts";
export * from "./samples.ts";
export * from "./source.ts";
export * from "./text.ts";
export * from "./tokens.ts";
