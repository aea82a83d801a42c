import { BLOCK_FORMATS } from "../../files/mod.ts";

/** Formats of weights beside f32. bf16 has no blocks: it is the upper half of an f32. */
export const WEIGHT_FORMATS = ["bf16", ...BLOCK_FORMATS] as const;
/** One of {@link WEIGHT_FORMATS}. */
export type WeightFormat = typeof WEIGHT_FORMATS[number];
