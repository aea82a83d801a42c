/** Which activations are computed again in the backward pass instead of kept: none, those of feed-forward parts, all. */
export const RECOMPUTE = ["none", "selective", "full"] as const;
/** One of {@link RECOMPUTE}. */
export type Recompute = typeof RECOMPUTE[number];
