/**
 * Expert parallelism: every rank of a group holds some of the experts of each layer, and all of everything else. Each
 * rank has sequences of its own; their tokens travel to the experts and back.
 *
 * Source: Lepikhin et al., GShard, 2020, section 3.2 (experts over devices, all-to-all); Fedus et al., Switch
 * Transformers, JMLR 2022, section 5.4.
 */
import type { Group, Pending } from "../../collectives/mod.ts";
import { subspan } from "../../kernels/mod.ts";
import {
  type ExpertHooks,
  formatShape,
  type LayerHooks,
  type Shape,
  type Shard,
  type Sharding,
  type SumChunks,
  type Tape,
  type Tensor,
} from "../../nn/mod.ts";

/** Parameters of experts; all others are on every rank of the group. */
const EXPERT_NAME = /(?:^|\.)experts\.\d+\./;

/**
 * Whether a parameter belongs to one expert: its gradient is complete on the rank that holds it (the tokens of the whole
 * group came there), and is summed over the data axis only. All other gradients are summed over data and expert axis.
 */
export function isExpertParameter(name: string): boolean {
  return EXPERT_NAME.test(name);
}

/**
 * Experts that a rank holds: `index`, `index + size`, `index + 2 size`, ... Dealt out in turn, the rows for the i-th
 * expert of every rank lie side by side in the order of ranks, which is what an all-to-all sends.
 *
 * @throws {RangeError} If the ranks cannot share the experts evenly.
 */
export function expertsOf(
  experts: number,
  { size, index }: { readonly size: number; readonly index: number },
): number[] {
  if (experts % size !== 0) {
    throw new RangeError(
      `Cannot spread ${experts} experts over ep ${size}: the number of experts must be a multiple of ep`,
    );
  }
  return Array.from({ length: experts / size }, (_, i) => index + i * size);
}

/** What must fit together before experts are spread. */
export interface ExpertParallelSizes {
  /** Experts of a layer. */
  readonly experts: number;
  /** Ranks that share them. */
  readonly ep: number;
  /** Ranks with sequences of their own: degrees of the data and the expert axis, multiplied. */
  readonly dataRanks: number;
  /** Sequences of the global batch. */
  readonly batch: number;
  /** Parts of the batch that run one after the other. */
  readonly microBatches: number;
}

/**
 * Checks sizes before a worker starts.
 *
 * @throws {RangeError} If the experts cannot be shared evenly, or the ranks of a group would have different numbers of
 * sequences in some pass: all-to-all sends equal parts.
 */
export function checkExpertParallel(
  { experts, ep, dataRanks, batch, microBatches }: ExpertParallelSizes,
): void {
  if (ep === 1) return;
  expertsOf(experts, { size: ep, index: 0 });
  if (batch % (dataRanks * microBatches) === 0) return;
  throw new RangeError(
    `Cannot spread a batch of ${batch} over ${dataRanks} ranks in ${microBatches} micro-batches: with ep ${ep} every ` +
      `rank needs the same number of sequences, so the batch must be a multiple of ${
        dataRanks * microBatches
      }`,
  );
}

/** The experts that one rank of a group holds. How tokens reach the others is what subclasses say. */
export abstract class HeldExperts implements Sharding {
  /** Ranks that share the experts. */
  readonly group: Group;
  /** Number of experts of a layer. */
  readonly experts: number;
  /** Those that this rank holds, ascending. */
  readonly held: readonly number[];
  readonly #inner: Sharding | undefined;

  /**
   * Spreads layers of `experts` experts.
   *
   * @param inner What splits the parameters of each expert, and all else: tensor parallelism.
   * @throws {RangeError} If the ranks cannot share the experts evenly.
   */
  constructor(group: Group, experts: number, inner?: Sharding) {
    this.group = group;
    this.experts = experts;
    this.held = expertsOf(experts, group);
    this.#inner = inner;
  }

  /** The part of a parameter that this rank holds: experts are whole, or absent. */
  shard(name: string, shape: Shape): Shard | undefined {
    return this.#inner?.shard(name, shape);
  }

  /** What `inner` says. */
  sumChunks(name: string, shape: Shape): SumChunks | undefined {
    return this.#inner?.sumChunks?.(name, shape);
  }

  /** The hooks of tensor parallelism, and the exchange of tokens. */
  hooks(path: string): LayerHooks | undefined {
    const inner = this.#inner?.hooks(path);
    return this.group.size === 1 ? inner : { ...inner, experts: this.exchange(path) };
  }

  /** What stands around the experts of a layer. */
  protected abstract exchange(path: string): ExpertHooks;
}

/**
 * The experts that one rank holds, and the exchange of tokens around them. A model is built with it
 * (`Scope.root(heap, seed, expertParallel)`); layers of experts find it, all others do not notice.
 *
 * Every rank makes the choices of its own tokens, so what is dropped does not depend on the group. An expert gets the
 * rows of all ranks in the order of ranks, units and slots: that of one device with the whole batch, so the sums in the
 * gradients of its weights have the same order and bits.
 *
 * Cost per layer and rank, for n ranks and R = units x capacity x experts rows of C floats: four all-to-alls (two in
 * each pass) that move (n-1)/n x 4 R C bytes each.
 */
export class ExpertParallel extends HeldExperts {
  /** Tokens travel to the experts, and back. */
  protected override exchange(path: string): ExpertHooks {
    const { group, held, experts } = this, { size } = group;
    const check = (rows: Tensor, wanted: number) => {
      if (rows.shape[0] === wanted) return;
      throw new RangeError(
        `Cannot send rows ${
          formatShape(rows.shape)
        } of ${path} over ep ${size}: they must be those of ${wanted} experts`,
      );
    };
    return {
      held,
      dispatch: (tape, rows) => {
        check(rows, experts);
        const [, units, ...rest] = rows.shape;
        return exchangeRows(tape, rows, {
          group,
          shape: [held.length, size * units, ...rest],
          label: `${path}: dispatch`,
        });
      },
      combine: (tape, rows) => {
        check(rows, held.length);
        const [, units, ...rest] = rows.shape;
        return exchangeRows(tape, rows, {
          group,
          shape: [experts, units / size, ...rest],
          label: `${path}: combine`,
        });
      },
    };
  }
}

interface Exchange {
  readonly group: Group;
  /** Of the result. */
  readonly shape: Shape;
  readonly label: string;
}

/**
 * An all-to-all for the i-th expert of every rank, for all i: part (i, j) of `rows` goes to rank j and becomes part
 * (i, this rank) there. The backward pass is the same exchange of the gradient, as it is its own inverse.
 *
 * Shapes: rows [experts, units, ...] seen as [experts per rank, ranks, elements], result as much.
 */
function exchangeRows(tape: Tape, rows: Tensor, { group, shape, label }: Exchange): Tensor {
  const out = tape.output(label, shape, [rows], rows.dtype), rounds = Math.min(rows.shape[0], shape[0]);
  const exchange = (from: Tensor["span"], to: Tensor["span"], options: { label: string }) => {
    const length = from.length / rounds;
    const parts = Array.from(
      { length: rounds },
      (_, i) => [from, to].map((span) => subspan(span, i * length, length)),
    );
    const pending: Pending[] = [];
    return () => {
      for (const [input, output] of parts) pending.push(group.startAllToAll(input, output, options));
      for (const one of pending.splice(0)) one.wait();
    };
  };
  return tape.record({
    name: label,
    inputs: [rows],
    output: out,
    forward: exchange(rows.span, out.span, { label }),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(rows);
      if (target === undefined) return {};
      const run = exchange(dOut, target.span, { label: `${label} (gradient)` });
      return {
        input: () => {
          run();
          target.after?.();
        },
      };
    },
  });
}
