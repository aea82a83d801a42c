import { assertEquals } from "@std/assert";
import { allocateGradients, Linear, Scope, Tape } from "../../../nn/mod.ts";
import { bracketLayer } from "../../../strategies/data/bracket.ts";
import { makeBackend } from "../../support/device.ts";

Deno.test("bracketLayer() reports the passes of each layer in order, also where no gradient goes on", () => {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 1), events: string[] = [];
  const layers = [0, 1].map((i) => {
    const layer = new Linear(scope.child(`layer${i}`), { inputs: 2, outputs: 2 });
    return bracketLayer({ forward: (tape, x) => layer.forward(tape, x) }, {
      enterForward: () => events.push(`forward ${i}`),
      enterBackward: () => events.push(`backward ${i}`),
      enterWeights: () => events.push(`weights ${i}`),
      leaveBackward: () => events.push(`done ${i}`),
    });
  });
  backend.fill(0, allocateGradients(heap, scope.parameters));
  for (const deferWeights of [false, true]) {
    const tape = new Tape({ backend, training: true, deferWeights }), x = tape.input("x", [3, 2]);
    tape.handoffTo(layers[1].forward(tape, layers[0].forward(tape, x)));
    tape.forward();
    if (deferWeights) {
      tape.backwardInput();
      events.push("input gradients done");
      tape.backwardWeight();
    } else tape.backward();
    const forward = ["forward 0", "forward 1"];
    const backward = deferWeights
      ? ["backward 1", "backward 0", "input gradients done", "weights 1", "done 1", "weights 0", "done 0"]
      : ["backward 1", "weights 1", "done 1", "backward 0", "weights 0", "done 0"];
    assertEquals(events.splice(0), [...forward, ...backward]);
  }
});
