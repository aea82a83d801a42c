/**
 * Tensor parallelism: every layer that a plan names is split over a group of ranks, which compute each layer together.
 * Sequence parallelism: between those layers, every rank holds some of the rows only.
 *
 * Source: Shoeybi et al., Megatron-LM, 2019, section 3; Korthikanti et al., Reducing Activation Recomputation in Large
 * Transformer Models, MLSys 2023, section 4.2.
 */
import { chunkOf, type Group } from "../../collectives/mod.ts";
import { numElements } from "../../kernels/mod.ts";
import {
  type ExactOptions,
  formatShape,
  type LayerHooks,
  type Parameter,
  type Shape,
  type Shard,
  type Sharding,
  type SpreadCrossEntropy,
  type SumChunks,
  type Tape,
  type Tensor,
} from "../../nn/mod.ts";
import { SharedHeads } from "./shared_heads.ts";
import type { TapeState } from "./tape_state.ts";
import { chunkCount, sumChunksOf } from "./exact_plan.ts";
import {
  isInMixture,
  layerOf,
  type LayerSplit,
  type ParallelPlan,
  shardOf,
  splitOf,
  unitsOf,
} from "../layout/mod.ts";
import {
  collectRows,
  copyToGroup,
  gatherRows,
  type GroupOp,
  scatterRows,
  sliceRows,
  sumOverGroup,
  tokensOf,
} from "./tensor_ops.ts";
import { type ClassRange, ownIds, vocabParallelCrossEntropy } from "./vocab_parallel.ts";

/** How to run a plan. */
export interface TensorParallelOptions {
  /** Rows between split layers are spread over the group, too. By default false. */
  readonly sequenceParallel?: boolean;
  /** Sums have the same bits on 1, 2 and 4 ranks. By default false. */
  readonly exact?: boolean;
}

/**
 * The parts of a model that one rank of a tensor group holds, and the collectives around its layers. A model is built
 * with it (`Scope.root(heap, seed, tensorParallel)`) and recorded on tapes that have its `spreadCrossEntropy`.
 *
 * Cost, for activations of P bytes and n ranks: a column layer followed by a row layer moves one all-reduce forward and
 * one backward, 2 (n-1)/n x P each; under sequence parallelism an all-gather and a reduce-scatter of (n-1)/n x P each
 * way, so the same. A block of GPT has two such pairs: 4 all-reduces of [B, T, C].
 */
export class TensorParallel implements Sharding {
  /** Ranks that share every layer. */
  readonly group: Group;
  /** What is split, and how. */
  readonly plan: ParallelPlan;
  /** Whether rows are spread between split layers. */
  readonly isSequenceParallel: boolean;
  readonly #isExact: boolean;
  readonly #states = new WeakMap<Tape, TapeState>();
  /** Rows of tables and outputs of heads, by name of the layer. */
  readonly #classes = new Map<string, ClassRange>();
  /** Heads of keys and values. */
  readonly #heads: SharedHeads;

  /** Splits nothing if the group has one rank. */
  constructor(group: Group, plan: ParallelPlan, options: TensorParallelOptions = {}) {
    this.group = group;
    this.plan = plan;
    this.isSequenceParallel = group.size > 1 && (options.sequenceParallel ?? false);
    this.#isExact = options.exact ?? false;
    this.#heads = new SharedHeads(group, this.#isExact);
  }

  /**
   * The part of a parameter that this rank holds.
   *
   * @throws {RangeError} If it has fewer units than the group has ranks (see `checkPlan`).
   */
  shard(name: string, shape: Shape): Shard | undefined {
    const shard = shardOf(this.plan, name, shape, this.group), split = unitsOf(this.plan, name, shape);
    if (split !== undefined) {
      const total = shape[split.dim], { start, length } = shard?.runs[0] ?? { start: 0, length: total };
      this.#classes.set(layerOf(name), { start, end: start + length, total });
      this.#heads.note(layerOf(name), split, shard);
    }
    return shard;
  }

  /**
   * In exact numerics, the tree of sums over the dim of a parameter that a group may split.
   *
   * @throws {RangeError} If the ranks would hold unequal parts of it.
   */
  sumChunks(name: string, shape: Shape): SumChunks | undefined {
    return this.#isExact ? sumChunksOf(this.plan, name, shape, this.group) : undefined;
  }

  /** In exact numerics under sequence parallelism: the sums of all units from those of this rank's rows. */
  get gatherUnits(): ExactOptions["gatherUnits"] {
    if (!this.#isExact || !this.isSequenceParallel) return undefined;
    const { group } = this;
    return (own, all, columns) =>
      group.allGather(own, all, { row: columns, label: "sums of the rows of the tensor group" });
  }

  /** The collectives around the layer at a path; undefined for layers that are not split. */
  hooks(path: string): LayerHooks | undefined {
    const split = splitOf(this.plan, path), op = { group: this.group, label: path };
    if (split === undefined) return undefined;
    if (this.group.size > 1) return this.#hooksOf(split, op);
    if (!this.#isExact) return undefined;
    // The loss of one device is cut as that of several, and its heads have as many readers.
    if (split.kind === "head") return { result: this.#noteHeadOf(split, path) };
    return split.kind === "column" && split.readers
      ? { result: (tape, y) => this.#heads.show(tape, y, path) }
      : undefined;
  }

  /**
   * For `TapeOptions`: the loss of logits of a `head` layer, whose classes are spread over the group; undefined for
   * other logits.
   *
   * @throws {RangeError} If the logits are those of some rows only.
   */
  readonly spreadCrossEntropy: SpreadCrossEntropy = (tape, logits, targets) => {
    const head = this.#states.get(tape)?.heads.get(logits.span.byteOffset);
    if (head !== undefined) {
      return vocabParallelCrossEntropy(tape, logits, targets, { group: this.group, ...head });
    }
    const rows = numElements(tokensOf(logits)), wanted = numElements(targets.shape);
    if (this.isSequenceParallel && rows !== wanted) {
      throw new RangeError(
        `Cannot compute the loss of ${logits.name} ${
          formatShape(logits.shape)
        } for ${wanted} targets: under ` +
          `sequence parallelism the layer that makes the logits must be a head`,
      );
    }
    return undefined;
  };

  /**
   * Those of `parameters` whose gradients are sums over this rank's rows or heads only and must be summed over the group
   * (`PartialGradients`): norms of heads, and under sequence parallelism all that every rank holds whole.
   */
  partialParameters(parameters: readonly Parameter[]): Parameter[] {
    const seesRows = this.isSequenceParallel && !this.#isExact;
    return parameters.filter(({ name, shard }) => {
      const path = layerOf(name), kind = splitOf(this.plan, path)?.kind;
      if (kind === "heads") return this.group.size > 1;
      return seesRows && shard === undefined && kind !== "whole" && !isInMixture(this.plan, path);
    });
  }

  /** Shape of what this rank holds of an activation [..., C] between layers. */
  localShape(shape: Shape): Shape {
    if (!this.isSequenceParallel) return shape;
    const { length } = chunkOf(numElements(shape.slice(0, -1)), this.group.size, this.group.index);
    return [length, ...shape.slice(-1)];
  }

  /**
   * Says that a tape begins with this rank's rows of an activation [...tokens, C] (`localShape`), as one of a later
   * pipeline stage does under sequence parallelism.
   */
  beginLocal(tape: Tape, tokens: Shape): void {
    if (this.isSequenceParallel) this.#spread(tape, tokens, "this stage");
  }

  #hooksOf(split: LayerSplit, op: GroupOp): LayerHooks | undefined {
    const isSpread = this.isSequenceParallel && !isInMixture(this.plan, op.label);
    const before = (tape: Tape, x: Tensor) => this.#makeWhole(tape, x, op, isSpread);
    const after = (tape: Tape, y: Tensor) =>
      isSpread ? this.#scatter(tape, y, op) : sumOverGroup(tape, y, op);
    switch (split.kind) {
      case "column":
        if (split.readers === undefined) return { input: before };
        return {
          input: (tape, x) => this.#heads.read(tape, before(tape, x), op.label),
          result: (tape, y) => this.#heads.show(tape, y, op.label),
        };
      case "row":
        return { output: after };
      case "vocab":
        return {
          input: (tape, ids) => ownIds(tape, ids, this.#classesOf(op.label), op.label),
          output: after,
        };
      case "head":
        return {
          input: before,
          result: this.#noteHeadOf(split, op.label),
        };
      case "local":
        if (!this.isSequenceParallel) return undefined;
        // A sum over this rank's rows only is no part of the tree over all rows, so exact numerics cut the result.
        return this.#isExact
          ? { output: (tape, y) => this.#slice(tape, y, op) }
          : { input: (tape, x) => this.#slice(tape, x, op) };
      case "mixture":
        return this.isSequenceParallel
          ? { input: (tape, x) => this.#collect(tape, x, op), output: (tape, y) => this.#slice(tape, y, op) }
          : undefined;
      case "heads":
      case "whole":
        return undefined;
    }
  }

  /**
   * The whole input of a layer with split outputs; made once for all layers that read it. In exact numerics once for each:
   * one device completes the gradient that a layer gives before it adds that of the next one.
   */
  #makeWhole(tape: Tape, x: Tensor, op: GroupOp, isSpread: boolean): Tensor {
    const { whole, tokens } = this.#state(tape), known = this.#isExact ? undefined : whole.get(x);
    if (known !== undefined) return known;
    const made = !isSpread || tokens === undefined || isWhole(x, tokens)
      ? copyToGroup(tape, x, op)
      : gatherRows(tape, x, { ...op, tokens });
    whole.set(x, made);
    return made;
  }

  #collect(tape: Tape, x: Tensor, op: GroupOp): Tensor {
    const { tokens } = this.#state(tape);
    return tokens === undefined || isWhole(x, tokens) ? x : collectRows(tape, x, { ...op, tokens });
  }

  #scatter(tape: Tape, y: Tensor, op: GroupOp): Tensor {
    this.#spread(tape, tokensOf(y), op.label);
    return scatterRows(tape, y, op);
  }

  #slice(tape: Tape, x: Tensor, op: GroupOp): Tensor {
    const { tokens } = this.#state(tape);
    if (tokens !== undefined && !isWhole(x, tokens)) return x;
    this.#spread(tape, tokensOf(x), op.label);
    return sliceRows(tape, x, op);
  }

  /** Notes the logits of a head, for their loss. */
  #noteHeadOf({ table }: { readonly table?: string }, label: string) {
    return (tape: Tape, logits: Tensor): Tensor => {
      const range = this.#classesOf(table ?? label),
        chunks = this.#isExact ? chunkCount({ units: range.total }) / this.group.size : 1;
      this.#state(tape).heads.set(logits.span.byteOffset, { label, range, chunks });
      return logits;
    };
  }

  #classesOf(layer: string): ClassRange {
    const range = this.#classes.get(layer);
    if (range === undefined) {
      throw new TypeError(`Cannot find the classes of ${layer}: the plan does not split it`);
    }
    return range;
  }

  /** From here on, this rank holds a chunk of the rows that `tokens` counts. */
  #spread(tape: Tape, tokens: Shape, label: string): void {
    const state = this.#state(tape), text = formatShape(tokens), known = formatShape(state.tokens ?? tokens);
    if (text !== known) {
      throw new RangeError(`Cannot spread rows ${text} of ${label}: those of this tape are ${known}`);
    }
    if (tokens.length === 1 && tokens[0] === 1) {
      throw new RangeError(
        `Cannot spread rows ${text} of ${label}: sequence parallelism needs more than one`,
      );
    }
    state.tokens = tokens;
  }

  #state(tape: Tape): TapeState {
    let state = this.#states.get(tape);
    if (state === undefined) this.#states.set(tape, state = { whole: new Map(), heads: new Map() });
    return state;
  }
}

function isWhole(x: Tensor, tokens: Shape): boolean {
  return formatShape(tokensOf(x)) === formatShape(tokens);
}
