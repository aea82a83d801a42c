import type { DeviceHeap } from "../../../kernels/mod.ts";
import { Gpt, type GptConfig } from "../../../models/mod.ts";
import {
  add,
  crossEntropy,
  LayerNorm,
  Linear,
  type Model,
  multiply,
  normal,
  RandomStream,
  RmsNorm,
  type Scope,
  type Tape,
  type Tensor,
} from "../../../nn/mod.ts";
import { buildGrouped, type GroupedConfig } from "./grouped_model.ts";

/** A model and the size of its batch: [samples, tokens] of ids, [samples] of features. */
export type TestModel =
  | { readonly kind: "gpt"; readonly config: GptConfig; readonly batch: readonly [number, number] }
  | { readonly kind: "grouped"; readonly config: GroupedConfig; readonly batch: readonly [number, number] }
  | {
    readonly kind: "mlp" | "gated" | "gated rms";
    readonly sizes: Sizes;
    readonly batch: readonly [number];
  };

/** Widths of a model that is no GPT. */
export interface Sizes {
  readonly inputs: number;
  readonly width: number;
  readonly hidden: number;
  readonly classes: number;
}

/** Builds the layers of a test model. */
export function buildModel(scope: Scope, test: TestModel): Model {
  if (test.kind === "gpt") return new Gpt(scope, test.config);
  if (test.kind === "grouped") return buildGrouped(scope, test.config);
  if (test.kind === "mlp") return buildMlp(scope, test.sizes);
  return buildGated(scope, test.sizes, test.kind === "gated" ? LayerNorm : RmsNorm);
}

/** Two layers, as a user writes them. */
function buildMlp(scope: Scope, { inputs, hidden, classes }: Sizes): Model {
  const initialize = normal(0.3);
  const first = new Linear(scope.child("first"), { inputs, outputs: hidden, initialize });
  const second = new Linear(scope.child("second"), { inputs: hidden, outputs: classes, initialize });
  return {
    loss: (tape, x, y) =>
      crossEntropy(tape, second.forward(tape, first.forward(tape, x, { activation: "gelu" })), y),
  };
}

/** A stem, a gated block, and a head of its own; tensors that split layers read have other readers before and after. */
function buildGated(
  scope: Scope,
  { inputs, width, hidden, classes }: Sizes,
  Norm: typeof LayerNorm | typeof RmsNorm,
): Model {
  const initialize = normal(0.3);
  const linear = (name: string, from: number, to: number, bias = true) =>
    new Linear(scope.child(name), { inputs: from, outputs: to, bias, initialize });
  const entry = linear("entry", inputs, width), stem = linear("stem", width, width);
  const norm = new Norm(scope.child("norm"), width), tune = linear("tune", width, width);
  const gate = linear("gate", width, hidden), up = linear("up", width, hidden, false);
  const side = linear("side", width, hidden), down = linear("down", hidden, width);
  const last = new Norm(scope.child("last"), width), head = linear("head", width, classes);
  return {
    loss: (tape, x, y) => {
      const entered = entry.forward(tape, x), stream = stem.forward(tape, entered);
      const normed = norm.forward(tape, stream), tuned = tune.forward(tape, stream);
      const product = multiply(tape, gate.forward(tape, normed), up.forward(tape, normed));
      const inner = add(tape, product, side.forward(tape, entered));
      const sum = add(tape, down.forward(tape, inner, { residual: normed }), tuned);
      return crossEntropy(tape, head.forward(tape, last.forward(tape, sum)), y);
    },
  };
}

/** The tensors of a batch, filled; every fifth target is masked. */
export function batchOf(tape: Tape, test: TestModel): { inputs: Tensor; targets: Tensor } {
  const stream = new RandomStream(3, "batch"), { heap } = tape;
  if (test.kind === "gpt" || test.kind === "grouped") {
    const shape = [...test.batch], { vocab } = test.config;
    const inputs = tape.input("inputs", shape, "i32"), targets = tape.input("targets", shape, "i32");
    fillClasses(heap, inputs, (i) => stream.uniform(2 * i) * vocab);
    fillClasses(heap, targets, (i) => i % 5 === 4 ? -1 : stream.uniform(2 * i + 1) * vocab);
    return { inputs, targets };
  }
  const [rows] = test.batch, { inputs: width, classes } = test.sizes;
  const inputs = tape.input("inputs", [rows, width]), targets = tape.input("targets", [rows], "i32");
  heap.f32(inputs.span).forEach((_, i, all) => all[i] = stream.normal(i));
  fillClasses(heap, targets, (i) => i % 5 === 4 ? -1 : stream.uniform(i) * classes);
  return { inputs, targets };
}

function fillClasses(heap: DeviceHeap, { span }: Tensor, value: (index: number) => number): void {
  heap.i32(span).forEach((_, i, all) => all[i] = Math.floor(value(i)));
}
