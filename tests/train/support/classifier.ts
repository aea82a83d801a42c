/**
 * A user's own model: a classifier of two layers. With `unused` it has a parameter that no batch uses.
 *
 * @module
 */
import { crossEntropy, Linear, type Model, normal, relu, type Scope } from "../../../nn/mod.ts";

/** Sizes of the classifier. */
export interface ClassifierConfig {
  readonly inputs: number;
  readonly hidden: number;
  readonly classes: number;
  readonly unused?: boolean;
}

/** Builds the classifier. */
export default function build(scope: Scope, config: ClassifierConfig): Model {
  const start = { initialize: normal(0.5) };
  const first = new Linear(scope.child("first"), { inputs: config.inputs, outputs: config.hidden, ...start });
  if (config.unused) scope.parameter("unused", [config.hidden, 3], normal(1));
  const second = new Linear(scope.child("second"), {
    inputs: config.hidden,
    outputs: config.classes,
    ...start,
  });
  return {
    loss(tape, inputs, targets) {
      return crossEntropy(tape, second.forward(tape, relu(tape, first.forward(tape, inputs))), targets);
    },
  };
}
