import { type Layer, type Tape, Tensor } from "../../nn/mod.ts";

/** What runs when the passes of a layer begin and end. */
export interface LayerEvents {
  /** Before the layer's forward pass. */
  readonly enterForward: () => void;
  /** Before its backward pass. */
  readonly enterBackward: () => void;
  /** Before the part of it that makes weight gradients, which may come later. */
  readonly enterWeights: () => void;
  /** When the gradients of all its parameters are delivered. */
  readonly leaveBackward: () => void;
}

/** A layer with entries on the tape before and after its own; no memory moves. */
export function bracketLayer(layer: Layer, events: LayerEvents): Layer {
  return {
    forward: (tape, x) => {
      const entered = bracket(tape, x, { forward: events.enterForward, weight: events.leaveBackward });
      return bracket(tape, layer.forward(tape, entered), {
        input: events.enterBackward,
        weight: events.enterWeights,
      });
    },
  };
}

interface BracketEvents {
  readonly forward?: () => void;
  readonly input?: () => void;
  readonly weight?: () => void;
}

/** The same tensor under another name, so that what runs has its place in the order of the tape. */
function bracket(tape: Tape, x: Tensor, events: BracketEvents): Tensor {
  const out = new Tensor({
    name: x.name,
    shape: x.shape,
    span: x.span,
    requiresGradient: x.requiresGradient,
  });
  return tape.record({
    name: "bracket",
    inputs: [x],
    output: out,
    // Token ids have no gradient that would lead the backward pass here.
    isRoot: tape.isTraining,
    forward: () => events.forward?.(),
    backward: (gradients) => {
      const deliver = gradients.isReached(out) ? gradients.pass(out, x, true) : undefined;
      return {
        input: () => {
          deliver?.();
          events.input?.();
        },
        weight: events.weight,
      };
    },
  });
}
