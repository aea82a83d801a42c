/**
 * Rotary positions: queries and keys are turned by angles that grow with the place of their token, so that their products
 * depend on distances only.
 *
 * Source: Su et al., RoFormer, 2021, section 3.2.2; pairs are half a head apart, as in GPT-NeoX and Llama.
 */
import { onnx } from "../../kernels/mod.ts";
import { formatShape } from "../shape.ts";
import type { Tape } from "../tape.ts";
import { Tensor } from "../tensor.ts";
import { positionsOf } from "./places.ts";

/** The angles of a model. */
export interface RotaryTable {
  /** Radians from one token to the next, of each pair: half as many as a head has elements. */
  readonly frequencies: readonly number[];
  /** What cosines and sines are multiplied by. */
  readonly scale: number;
  /** Longest sequence. */
  readonly context: number;
}

/**
 * Turns all heads of all tokens, in place: nobody else may read x. Backward: the turn back.
 *
 * Shapes: x [B, T, H D], where D is twice the number of frequencies; result the same, in the memory of x.
 * Cost: 6 B T H D / 2 operations each way; the angles of a batch, B T D floats, are made once for all layers.
 *
 * @throws {RangeError} If the last dim of x is no multiple of D.
 */
export function rotate(tape: Tape, x: Tensor, table: RotaryTable): Tensor {
  const { name, shape } = x,
    headDim = 2 * table.frequencies.length,
    heads = shape[2] / headDim,
    { backend } = tape;
  if (shape.length !== 3 || !Number.isInteger(heads)) {
    throw new RangeError(
      `Cannot turn heads of ${headDim} in ${name} ${
        formatShape(shape)
      }: the last dim must be a multiple of ${headDim}`,
    );
  }
  const out = new Tensor({ ...x, name: `${name} turned` }),
    angles = anglesOf(tape, [shape[0], shape[1]], table);
  const sizes = { rows: shape[0] * shape[1], heads, headDim, angles: angles.span };
  const args = { ...sizes, x: x.span, out: x.span };
  return tape.record({
    name: "rotary",
    inputs: [x],
    output: out,
    forward: () => backend.rotary(args),
    backward: (gradients) => {
      const dOut = gradients.output(out), deliver = gradients.pass(out, x, true);
      const back = { ...sizes, x: dOut, out: dOut, isBack: true };
      return {
        input: () => {
          backend.rotary(back);
          deliver?.();
        },
      };
    },
    lower: (lowering) => turn(lowering.valueOf(x), lowering.valueOf(angles), heads, headDim),
  });
}

/** Cosines, then sines, of the angles of all tokens [B, T, D]. */
function anglesOf(tape: Tape, [batch, tokens]: readonly [number, number], table: RotaryTable): Tensor {
  const { frequencies, scale, context } = table, half = frequencies.length, cols = 2 * half;
  const valueAt = (position: number, column: number) => {
    const angle = position * frequencies[column % half];
    return scale * (column < half ? Math.cos(angle) : Math.sin(angle));
  };
  const key = `angles ${batch} x ${tokens}, ${scale} ${frequencies}`;
  return tape.once(key, (tape) => {
    const positions = positionsOf(tape, [batch, tokens]), { backend } = tape;
    if (positions === undefined) {
      return tape.constant("angles", [batch, tokens, cols], "f32", (i) => {
        return valueAt(tape.positionOf(Math.floor(i / cols) % tokens), i % cols);
      });
    }
    const all = tape.constant("angles of all positions", [context, cols], "f32", (i) => {
      return valueAt(Math.floor(i / cols), i % cols);
    });
    const out = tape.output("angles", [batch, tokens, cols], [], "f32");
    const args = { rows: batch * tokens, cols, ids: positions.span, table: all.span, out: out.span };
    return tape.record({
      name: "angles",
      inputs: [],
      output: out,
      forward: () => backend.gather(args),
      lower: (lowering) => onnx.gather(lowering.valueOf(all), lowering.valueOf(positions)),
    });
  });
}

/** The same as a graph. Shapes: x [B, T, H D], angles [B, T, D]. */
function turn(x: onnx.Value, angles: onnx.Value, heads: number, headDim: number): onnx.Value {
  const half = headDim / 2, halves = [half, half];
  const [cos, sin] = onnx.splitLast(onnx.reshape(angles, [0, 0, 1, headDim]), halves);
  const [a, b] = onnx.splitLast(onnx.reshape(x, [0, 0, heads, headDim]), halves);
  const left = onnx.sub(onnx.mul(a, cos), onnx.mul(b, sin)),
    right = onnx.add(onnx.mul(b, cos), onnx.mul(a, sin));
  return onnx.reshape(onnx.concat([left, right], 3, headDim), [0, 0, heads * headDim]);
}
