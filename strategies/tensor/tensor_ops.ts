/**
 * What tensor and sequence parallelism put between layers: tape entries, each a collective forward, its mirror backward.
 *
 * | entry          | forward                  | backward               | in the papers |
 * |----------------|--------------------------|------------------------|---------------|
 * | copyToGroup    | nothing                  | all-reduce             | f [1]         |
 * | sumOverGroup   | all-reduce               | nothing                | g [1]         |
 * | gatherRows     | all-gather of rows       | reduce-scatter of rows | g [2]         |
 * | scatterRows    | reduce-scatter of rows   | all-gather of rows     | g-bar [2]     |
 * | sliceRows      | nothing                  | all-gather of rows     |               |
 * | collectRows    | all-gather of rows       | nothing                |               |
 *
 * A tensor [..., C] is seen as its rows of C elements; of R rows, the device at place i of n holds the i-th chunk of
 * ceil(R / n) rows, the last chunks shorter or empty (`chunkOf`). An all-reduce moves 2 (n-1)/n of the bytes of the whole
 * tensor per device, each of the others (n-1)/n.
 *
 * [1] Shoeybi et al., Megatron-LM, 2019, section 3. [2] Korthikanti et al., MLSys 2023, section 4.2.2.
 */
import { chunkOf, type Group } from "../../collectives/mod.ts";
import { subspan } from "../../kernels/mod.ts";
import { asMatrix, type BackwardPass, type Gradients, type Shape, type Tape, Tensor } from "../../nn/mod.ts";

/** Who takes part, and for which layer: the label of the collectives in reports. */
export interface GroupOp {
  /** Ranks that hold parts of the layer. */
  readonly group: Group;
  /** Name of the layer. */
  readonly label: string;
}

/**
 * f: the input of a layer whose outputs are split. Forward: nothing. Backward: all-reduce of the gradient, in place, as
 * every device has that of its outputs only.
 *
 * Shapes: x and result any, the same memory, equal on all devices.
 */
export function copyToGroup(tape: Tape, x: Tensor, { group, label }: GroupOp): Tensor {
  const out = alias(x), options = { label: `${label}: gradient of its input` };
  return tape.record({
    name: `copy to ${label}`,
    inputs: [x],
    output: out,
    forward: () => {},
    backward: (gradients) => {
      const dOut = gradients.output(out), deliver = gradients.pass(out, x, true);
      return {
        input: () => {
          group.allReduce(dOut, options);
          deliver?.();
        },
      };
    },
  });
}

/**
 * g: the product of a layer whose inputs are split. Forward: all-reduce, in place, as every device has some of the terms
 * only. Backward: nothing.
 *
 * Shapes: y and result any, the same memory; y differs from device to device, the result does not.
 */
export function sumOverGroup(tape: Tape, y: Tensor, { group, label }: GroupOp): Tensor {
  const out = alias(y), options = { label: `${label}: output` };
  return tape.record({
    name: `sum of ${label}`,
    inputs: [y],
    output: out,
    forward: () => group.allReduce(y.span, options),
    backward: (gradients) => ({ input: gradients.pass(out, y, true) }),
  });
}

/**
 * The whole input of a layer from every device's rows. Forward: all-gather. Backward: reduce-scatter.
 *
 * Shapes: x [rows of this device, C], result [...tokens, C], equal on all devices.
 */
export function gatherRows(tape: Tape, x: Tensor, op: GroupOp & { readonly tokens: Shape }): Tensor {
  const { group, label, tokens } = op, row = asMatrix(x.shape).cols;
  const out = tape.output(x.name, [...tokens, row], [x], x.dtype),
    options = { row, label: `${label}: rows of its input` };
  const back = { row, label: `${label}: gradient of its input` };
  return tape.record({
    name: `gather rows for ${label}`,
    inputs: [x],
    output: out,
    forward: () => group.allGather(x.span, out.span, options),
    backward: (gradients) => {
      const dOut = gradients.output(out), target = gradients.inputOverwritten(x);
      if (target === undefined) return {};
      return {
        input: () => {
          group.reduceScatter(dOut, target.span, back);
          target.after?.();
        },
      };
    },
  });
}

/**
 * The whole input of a layer that every device computes alike. Forward: all-gather. Backward: this device's rows of the
 * gradient, which is complete on every device.
 *
 * Shapes: x [rows of this device, C], result [...tokens, C], equal on all devices.
 */
export function collectRows(tape: Tape, x: Tensor, op: GroupOp & { readonly tokens: Shape }): Tensor {
  const { group, label, tokens } = op, row = asMatrix(x.shape).cols, { backend } = tape;
  const out = tape.output(x.name, [...tokens, row], [x], x.dtype);
  const options = { row, label: `${label}: rows of its input` };
  const { start, length } = chunkOf(out.span.length, group.size, group.index, row);
  return tape.record({
    name: `collect rows for ${label}`,
    inputs: [x],
    output: out,
    forward: () => group.allGather(x.span, out.span, options),
    backward: (gradients) => {
      const own = subspan(gradients.output(out), start, length), target = gradients.input(x);
      if (target === undefined) return {};
      const { span, accumulate } = target;
      return { input: () => accumulate ? backend.axpy(1, own, span) : backend.copy(own, span) };
    },
  });
}

/**
 * This device's rows of the sum of all devices' products. Forward: reduce-scatter, in place. Backward: all-gather.
 *
 * Shapes: y [..., C], different on every device; result [rows of this device, C], inside y.
 */
export function scatterRows(tape: Tape, y: Tensor, { group, label }: GroupOp): Tensor {
  const out = rowsOf(y, group), row = asMatrix(y.shape).cols, options = { row, label: `${label}: output` };
  return tape.record({
    name: `scatter rows of ${label}`,
    inputs: [y],
    output: out,
    forward: () => group.reduceScatter(y.span, out.span, options),
    backward: (gradients) => gatherGradient(gradients, { x: y, out, group, label }),
  });
}

/**
 * This device's rows of a tensor that all devices have. Forward: nothing. Backward: all-gather.
 *
 * Shapes: x [..., C] (or ids i32 [...]), equal on all devices; result [rows of this device, C] (or [rows]), inside x.
 */
export function sliceRows(tape: Tape, x: Tensor, { group, label }: GroupOp): Tensor {
  const out = rowsOf(x, group);
  if (!x.requiresGradient) return out;
  return tape.record({
    name: `slice rows for ${label}`,
    inputs: [x],
    output: out,
    forward: () => {},
    backward: (gradients) => gatherGradient(gradients, { x, out, group, label }),
  });
}

/** Dims of a tensor that count its rows: all but the last, and all of ids. */
export function tokensOf(x: Tensor): Shape {
  return x.dtype === "i32" ? x.shape : x.shape.slice(0, -1);
}

function gatherGradient(
  gradients: Gradients,
  { x, out, group, label }: GroupOp & { readonly x: Tensor; readonly out: Tensor },
): BackwardPass {
  const dOut = gradients.output(out), target = gradients.inputOverwritten(x);
  if (target === undefined) return {};
  const options = { row: asMatrix(x.shape).cols, label: `${label}: gradient of its output` };
  return {
    input: () => {
      group.allGather(dOut, target.span, options);
      target.after?.();
    },
  };
}

function alias(x: Tensor): Tensor {
  const { name, shape, span, requiresGradient } = x;
  return new Tensor({ name, shape, span, requiresGradient });
}

function rowsOf(x: Tensor, { size, index }: Group): Tensor {
  const tail = x.dtype === "i32" ? [] : x.shape.slice(-1), row = tail[0] ?? 1;
  const { start, length } = chunkOf(x.span.length, size, index, row);
  const { name, requiresGradient } = x;
  return new Tensor({
    name,
    shape: [length / row, ...tail],
    span: subspan(x.span, start, length),
    requiresGradient,
  });
}
