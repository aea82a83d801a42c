/**
 * Experts spread over ranks that all see the same tokens: for inference, where a batch is too small to be shared out.
 */
import type { Group, Pending } from "../../collectives/mod.ts";
import { subspan } from "../../kernels/mod.ts";
import type { ExpertHooks, Tape, Tensor } from "../../nn/mod.ts";
import { HeldExperts } from "./expert_parallel.ts";

/**
 * The experts that one rank holds. Every rank computes all of every other layer, runs its own experts, and gets the results
 * of the others, so that each token's sum is the one of a single device. For inference only.
 *
 * Cost per layer and rank, for n ranks and R rows of experts of C floats: all-gathers that move (n-1)/n x 4 R C bytes.
 */
export class ReplicatedExperts extends HeldExperts {
  /** Rows of the experts that are here, and the results of all. */
  protected override exchange(path: string): ExpertHooks {
    const { group, held } = this;
    return {
      held,
      dispatch: (tape, rows) => pickRows(tape, rows, held, `${path}: dispatch`),
      combine: (tape, rows) => gatherExperts(tape, rows, group, `${path}: combine`),
    };
  }
}

/** The rows of some experts. Shapes: rows [experts, ...], result [held, ...]. */
function pickRows(tape: Tape, rows: Tensor, held: readonly number[], name: string): Tensor {
  const [experts, ...rest] = rows.shape, length = rows.span.length / experts;
  const out = tape.output(name, [held.length, ...rest], [rows], rows.dtype);
  const parts = held.map((expert, i) =>
    [subspan(rows.span, expert * length, length), subspan(out.span, i * length, length)] as const
  );
  const forward = () => parts.forEach(([from, to]) => tape.backend.copy(from, to));
  return tape.record({ name, inputs: [rows], output: out, forward });
}

/** The rows of all experts, which are dealt out in turn. Shapes: rows [held, ...], result [experts, ...]. */
function gatherExperts(tape: Tape, rows: Tensor, group: Group, name: string): Tensor {
  const [held, ...rest] = rows.shape, length = rows.span.length / held, { size } = group;
  const out = tape.output(name, [held * size, ...rest], [rows], rows.dtype);
  const parts = Array.from(
    { length: held },
    (_, i) =>
      [subspan(rows.span, i * length, length), subspan(out.span, i * size * length, size * length)] as const,
  );
  const forward = () => {
    const pending: Pending[] = [];
    for (const [own, all] of parts) {
      pending.push(group.startAllGather(own, all, { row: length, label: name }));
    }
    for (const one of pending) one.wait();
  };
  return tape.record({ name, inputs: [rows], output: out, forward });
}
