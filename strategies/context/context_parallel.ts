import type { Group } from "../../collectives/mod.ts";
import type { LayerHooks, Shape, Shard, Sharding, SumChunks } from "../../nn/mod.ts";
import { contextPositions } from "./context_placement.ts";
import { GatherBuffers, gatheredAttention } from "./gathered_attention.ts";
import { ringAttention } from "./ring_attention.ts";
import { RingBuffers } from "./ring_buffers.ts";

/**
 * Context parallelism: every rank of a group holds a part of every sequence. A model is built with it
 * (`Scope.root(heap, seed, contextParallel)`), is fed the tokens and targets at `positions`, and is recorded on tapes
 * that have those positions.
 *
 * All ranks hold all parameters (or the shards that `inner` says); what a rank makes of its tokens is a part of each
 * gradient, so gradients are sums over the group, as over replicas. Only attention looks at other tokens: each attention
 * layer runs a ring (`ringAttention`).
 *
 * Cost: activations shrink by cp; each attention layer moves 3 (cp - 1) / cp x 2 B T C x 4 bytes per rank and step. All
 * layers share four blocks of buffers (`RingBuffers`).
 */
export class ContextParallel implements Sharding {
  /** Ranks that hold parts of the same sequences. */
  readonly group: Group;
  readonly #inner: Sharding | undefined;
  readonly #isExact: boolean;
  readonly #buffers = new RingBuffers();
  readonly #gatherBuffers = new GatherBuffers();

  /**
   * Splits nothing if the group has one rank.
   *
   * @param inner How the model is spread otherwise: tensor or expert parallelism.
   * @param options With `exact`, attention has the bits of one device (`gatheredAttention` in place of the ring).
   */
  constructor(group: Group, inner?: Sharding, { exact = false } = {}) {
    this.group = group;
    this.#isExact = exact;
    this.#inner = inner;
  }

  /** The part of a parameter that this rank holds: what `inner` says. */
  shard(name: string, shape: Shape): Shard | undefined {
    return this.#inner?.shard(name, shape);
  }

  /** What `inner` says. */
  sumChunks(name: string, shape: Shape): SumChunks | undefined {
    return this.#inner?.sumChunks?.(name, shape);
  }

  /** What `inner` puts around the layer at a path, and the ring in place of attention, if the layer is one of attention. */
  hooks(path: string): LayerHooks | undefined {
    const hooks = this.#inner?.hooks(path);
    if (this.group.size === 1) return hooks;
    const shared = { group: this.group, label: path };
    const ring = { ...shared, buffers: this.#buffers },
      gathered = { ...shared, buffers: this.#gatherBuffers };
    const attend: LayerHooks["attend"] = (tape, inputs) =>
      this.#isExact ? gatheredAttention(tape, inputs, gathered) : ringAttention(tape, inputs, ring);
    return { ...hooks, attend };
  }

  /**
   * Places in a sequence of `tokens` tokens of those that this rank reads, in order: for `TapeOptions` and the data.
   *
   * @throws {RangeError} If `tokens` is no multiple of 2 cp.
   */
  positions(tokens: number): number[] {
    return contextPositions(tokens, this.group.size, this.group.index);
  }
}
