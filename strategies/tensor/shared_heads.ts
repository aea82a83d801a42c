/**
 * Heads of keys and values whose readers are spread over devices, or, in exact numerics, over the chunks that devices may
 * hold.
 *
 * | entry          | forward       | backward                                        |
 * |----------------|---------------|-------------------------------------------------|
 * | countElsewhere | nothing       | 0: another device answers for the same outputs  |
 * | holdTogether   | nothing       | sum over the devices that hold the same heads   |
 * | repeatHeads    | copy of heads | sum over the copies, as a tree                  |
 */
import type { Group } from "../../collectives/mod.ts";
import { type CombineRowsArgs, subspan } from "../../kernels/mod.ts";
import { formatShape, type Shard, type Tape, Tensor } from "../../nn/mod.ts";
import type { ParameterUnits } from "../layout/mod.ts";
import { chunkCount } from "./exact_plan.ts";
import type { GroupOp } from "./tensor_ops.ts";

/** The layers of a rank that make heads of keys and values, and what stands around them. */
export class SharedHeads {
  readonly #group: Group;
  readonly #isExact: boolean;
  readonly #layers = new Map<string, ParameterUnits & { readonly isCopy: boolean }>();

  /** Knows no layers yet. */
  constructor(group: Group, isExact: boolean) {
    this.#group = group;
    this.#isExact = isExact;
  }

  /** Notes what of a layer's parameter is dealt out. */
  note(layer: string, units: ParameterUnits, shard: Shard | undefined): void {
    if (units.readers !== undefined) this.#layers.set(layer, { ...units, isCopy: shard?.isCopy ?? false });
  }

  /** The input of a layer, whose gradient counts on one of the ranks that hold the same heads. */
  read(tape: Tape, x: Tensor, layer: string): Tensor {
    return this.#layers.get(layer)!.isCopy ? countElsewhere(tape, x, layer) : x;
  }

  /** The heads that a layer made, as the heads of queries of this rank read them. */
  show(tape: Tape, y: Tensor, layer: string): Tensor {
    const dealt = this.#layers.get(layer)!, { units, widths: [width] } = dealt, { size } = this.#group;
    const held = size > units ? holdTogether(tape, y, { group: this.#group, label: layer, heads: units }) : y;
    const copies = this.#isExact ? chunkCount(dealt) / Math.max(size, units) : 1;
    return copies > 1 ? repeatHeads(tape, held, { width, copies }) : held;
  }
}

/**
 * The input of a layer of which another device holds the same outputs, and answers for them. Forward: nothing. Backward:
 * the gradient counts as 0 here.
 *
 * Shapes: x and result any, the same memory.
 */
function countElsewhere(tape: Tape, x: Tensor, label: string): Tensor {
  const out = new Tensor(x), { backend } = tape;
  return tape.record({
    name: `${label} counts elsewhere`,
    inputs: [x],
    output: out,
    forward: () => {},
    backward: (gradients) => {
      const dOut = gradients.output(out), deliver = gradients.pass(out, x, true);
      return {
        input: () => {
          backend.fill(0, dOut);
          deliver?.();
        },
      };
    },
  });
}

/**
 * One head of keys or values that several devices hold. Forward: nothing. Backward: the sum over these devices, whose
 * heads of queries each read it; all have the same sum.
 *
 * Shapes: x [B, T, D] and result the same, the same memory.
 * Cost: an all-reduce of B T D for each of the heads, as all devices of the group take part.
 *
 * @param heads Number of heads of the group, a divisor of its size.
 */
function holdTogether(
  tape: Tape,
  x: Tensor,
  { group, label, heads }: GroupOp & { readonly heads: number },
): Tensor {
  const out = new Tensor(x), options = { label: `${label}: gradient of shared heads` }, { backend } = tape;
  return tape.record({
    name: `${label} held together`,
    inputs: [x],
    output: out,
    forward: () => {},
    backward: (gradients) => {
      const dOut = gradients.output(out), deliver = gradients.pass(out, x, true), { length, dtype } = dOut;
      const all = tape.scratch(`${label} of all heads`, heads * length, "buffers", dtype);
      const own = subspan(all, Math.floor(group.index * heads / group.size) * length, length);
      return {
        input: () => {
          backend.fill(0, all);
          backend.copy(dOut, own);
          group.allReduce(all, options);
          backend.copy(own, dOut);
          deliver?.();
        },
      };
    },
  });
}

/**
 * Heads of keys or values, once for each chunk of their readers. Backward: the copies' gradients are summed as a tree,
 * `(c0 + c1) + (c2 + c3)`, as devices would that hold a chunk each.
 *
 * Shapes: x [B, T, L D], result [B, T, copies L D].
 *
 * @param width D.
 * @param copies A power of two.
 * @throws {RangeError} If the last dim is no multiple of D.
 */
function repeatHeads(
  tape: Tape,
  x: Tensor,
  { width, copies }: { width: number; copies: number },
): Tensor {
  const { name, shape: [batch, tokens, cols] } = x, held = cols / width, { backend } = tape;
  if (!Number.isInteger(held)) {
    throw new RangeError(`Cannot repeat heads of ${width} in ${name} ${formatShape(x.shape)}`);
  }
  const rows = batch * tokens * held * copies,
    out = tape.output(`${name} repeated`, [batch, tokens, copies * cols], [x]);
  const idsOf = (what: string, idOf: (row: number) => number) =>
    tape.once(`${what} ${rows}`, (tape) => tape.constant(what, [rows], "i32", idOf)).span;
  const sources = idsOf(`heads in ${copies} copies`, (row) => Math.floor(row / copies));
  const spread = { rows, cols: width, ids: sources, table: x.span, out: out.span };
  return tape.record({
    name: "repeat heads",
    inputs: [x],
    output: out,
    forward: () => backend.gather(spread),
    backward: (gradients) => {
      const target = gradients.inputOverwritten(x), half = gradients.temporary(out);
      if (target === undefined) return {};
      const ids = idsOf("rows in order", (row) => row), folds: CombineRowsArgs[] = [];
      let table = gradients.output(out);
      for (let left = copies / 2; left >= 1; left /= 2) {
        const to = left === 1 ? target.span : half;
        folds.push({ rows: rows / copies * left, cols: width, count: 2, ids, table, out: to });
        table = to;
      }
      return {
        input: () => {
          for (const fold of folds) backend.combineRows(fold);
          target.after?.();
        },
      };
    },
  });
}
