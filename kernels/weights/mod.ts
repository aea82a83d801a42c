/**
 * Weights in fewer bytes than f32, and products with them.
 *
 * @module
 */
export * from "./formats.ts";
export { panelBytes, type Panels, placeBlocks, placeWeights, readWeights } from "./panels.ts";
export { panelsAt } from "./reference.ts";
