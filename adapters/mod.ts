/**
 * Low-rank adapters: which layers of a model have one, and the files of PEFT that they lie in.
 *
 * @example Which layers of a model an adapter is for
 * ```ts
 * import { targetLayers } from "@tessera/tessera/adapters";
 * import { familyNamed } from "@tessera/tessera/models";
 *
 * const llama = familyNamed("llama")!, sizes = { layers: 1, heads: 2, embed: 8, context: 8, vocab: 256 };
 * const layers = llama.layers(llama.configure(sizes, undefined));
 * console.log(targetLayers(layers, ["q_proj"]).map(({ path }) => path)); // [ "model.layers.0.self_attn.q_proj" ]
 * ```
 *
 * @module
 */
export * from "./adapter_files.ts";
export * from "./peft_config.ts";
export * from "./target_layers.ts";
