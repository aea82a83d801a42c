/**
 * Tessera trains and runs transformer models on many worker actors.
 *
 * @example Train a GPT on two devices
 * ```ts
 * import { gpt, train } from "@tessera/tessera";
 *
 * for await (const step of train({
 *   model: gpt({ layers: 1, heads: 2, embed: 32, context: 16 }),
 *   mesh: { dp: 2 },
 *   steps: 3,
 * })) {
 *   console.log(step.loss, step.tokensPerSecond);
 * }
 * ```
 *
 * Everything else is exported by layer: `@tessera/tessera/nn` for models of your own, `/train`, `/strategies`,
 * `/actors`, `/collectives` and `/kernels`.
 *
 * @module
 */
export * from "./actors/mod.ts";
export * from "./adapters/mod.ts";
export * from "./checkpoint/mod.ts";
export * from "./data/mod.ts";
export * from "./tokenizers/mod.ts";
export * from "./export/mod.ts";
export * from "./files/mod.ts";
export * from "./models/mod.ts";
export * from "./nn/mod.ts";
export * from "./serve/mod.ts";
export * from "./strategies/mod.ts";
export * from "./train/mod.ts";
