/**
 * Model families: what Tessera knows of a kind of model, as one value each.
 *
 * @example What a family says of a model
 * ```ts
 * import { gpt, loadModel, shapesOf } from "@tessera/tessera/models";
 *
 * const model = gpt({ layers: 1, heads: 2, embed: 8, context: 8 });
 * const { layers, plan } = await loadModel(model);
 * console.log(layers.map(({ name }) => name), Object.keys(plan)); // [ "embedding", "h.0", "head" ] ...
 * console.log(shapesOf(layers).get("h.0.mlp.c_fc.weight")); // [ 8, 32 ]
 * ```
 *
 * @module
 */
export * from "./family.ts";
export * from "./gpt.ts";
export * from "./gpt2/mod.ts";
export * from "./gpt2_moe/mod.ts";
export * from "./model_parts.ts";
export * from "./registry.ts";
export * from "./tensor_names.ts";
export * from "./tuned.ts";
