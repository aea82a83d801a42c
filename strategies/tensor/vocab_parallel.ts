/**
 * Tables and heads whose vocabulary is spread over the devices of a group: ids to rows of this device's part, and the
 * cross-entropy of logits of which every device holds some classes.
 *
 * Source: Shoeybi et al., Megatron-LM, 2019, section 3 (embedding and output layer).
 */
import { subspan } from "../../kernels/mod.ts";
import { asMatrix, type Loss, lossOf, type Tape, type Tensor } from "../../nn/mod.ts";
import type { GroupOp } from "./tensor_ops.ts";

/** Classes (rows of a table) `start .. end - 1` of `total`. */
export interface ClassRange {
  /** First of this device. */
  readonly start: number;
  /** Behind the last of this device. */
  readonly end: number;
  /** Of all devices. */
  readonly total: number;
}

/**
 * Places of ids in this device's rows of a table; -1 for those of other devices, which `gather` makes rows of -0 of: the
 * sum over devices then has the bits of the one row that is there.
 *
 * Shapes: ids i32 [...], result the same.
 *
 * @throws {RangeError} When run, if an id is not below `total`.
 */
export function ownIds(tape: Tape, ids: Tensor, range: ClassRange, label: string): Tensor {
  const out = tape.input(`own ids of ${label}`, ids.shape, "i32"), { heap } = tape;
  return tape.record({
    name: `own ids of ${label}`,
    inputs: [],
    output: out,
    forward: () => placeIds(heap.i32(ids.span), heap.i32(out.span), { ...range, rowStride: 0, label }),
  });
}

/**
 * Cross-entropy of logits whose classes are spread over the group, in nats, fused with its gradient: forward, an
 * all-reduce of the maximum of every row, then one of the sum of its exponentials and of the target's logit, which its
 * owner has and the others give -0 for. The result is equal on all devices; each gets the gradient of its own logits,
 * in their place.
 *
 * Shapes: logits [..., classes of this device], targets i32 [...] (negative = masked), result rows [...].
 * Cost: all-reduces of 1 and of 2 numbers per row.
 *
 * @param op.chunks Parts of this device's classes whose exponentials are summed apart; by default 1.
 */
export function vocabParallelCrossEntropy(
  tape: Tape,
  logits: Tensor,
  targets: Tensor,
  { group, label, range, chunks }: GroupOp & { readonly range: ClassRange; readonly chunks?: number },
): Loss {
  const { backend, heap } = tape, { rows, cols } = asMatrix(logits.shape);
  const out = tape.output("loss", [rows], [logits], "f32"),
    powers = out.requiresGradient ? logits.span : undefined;
  const max = tape.scratch(`${label} maximum`, rows), both = tape.scratch(`${label} sums`, 2 * rows);
  const sums = subspan(both, 0, rows), chosen = subspan(both, rows);
  const places = tape.input(`places of targets in ${label}`, [rows], "i32").span;
  const parts = { rows, cols, x: logits.span, max, sums, powers, chunks };
  const choice = { rows, cols: 1, ids: places, table: logits.span, out: chosen };
  const end = { rows, cols, firstClass: range.start, targets: targets.span, max, sums, chosen, powers };
  const args = { ...end, losses: out.span, scale: 1 / rows };
  const maximum = { reduction: "max" as const, label: `${label}: maximum of the logits` };
  const sum = { label: `${label}: sums of the loss` };
  tape.record({
    name: "vocabParallelCrossEntropy",
    inputs: [logits],
    output: out,
    isRoot: true,
    forward: () => {
      backend.rowMax({ ...parts, out: max });
      group.allReduce(max, maximum);
      placeIds(heap.i32(targets.span), heap.i32(places), { ...range, rowStride: cols, label });
      // Before the exponentials take the logits' place.
      backend.gather(choice);
      backend.rowExpSum(parts);
      group.allReduce(both, sum);
      backend.spreadCrossEntropy(args);
    },
    backward: (gradients) => {
      gradients.provide(logits, logits.span);
      return {};
    },
  });
  return lossOf(out, targets, args);
}

/** How ids become places: row r counts from `r * rowStride`. */
interface Placing extends ClassRange {
  readonly rowStride: number;
  readonly label: string;
}

function placeIds(
  ids: Int32Array,
  places: Int32Array,
  { start, end, total, rowStride, label }: Placing,
): void {
  for (let r = 0; r < places.length; r++) {
    const id = ids[r];
    if (id >= total) {
      throw new RangeError(`Cannot find id ${id} at row ${r} in ${label}: it has ${total} classes`);
    }
    places[r] = id >= start && id < end ? r * rowStride + id - start : -1;
  }
}
