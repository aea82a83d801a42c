import type { onnx } from "../kernels/mod.ts";
import type { Gradients } from "./gradients.ts";
import type { Lowering } from "./lowering.ts";
import type { Tensor } from "./tensor.ts";

/** What an op does in the backward pass, on spans that its `backward` function was given when it was planned. */
export interface BackwardPass {
  /** Delivers the gradients of the inputs. */
  readonly input?: () => void;
  /** Adds the gradients of the parameters; may run later than `input` (zero-bubble pipelines). */
  readonly weight?: () => void;
}

/** One recorded op. */
export interface Entry {
  /** Kind of op, or the layer that it works for: shown by `Tape.names`. */
  readonly name: string;
  /** Tensors that the op reads and may deliver gradients to, parameters included. */
  readonly inputs: readonly Tensor[];
  /** What it fills; it may share memory with an input (a view). */
  readonly output: Tensor;
  /** The backward pass starts here: a loss, or what another device sends a gradient for. */
  readonly isRoot?: boolean;
  /** Runs the kernels. */
  readonly forward: () => void;
  /** Plans the backward pass: asks for the spans of gradients and returns what to run. Called once. */
  readonly backward?: (gradients: Gradients) => BackwardPass;
  /** Adds what the op computes to an ONNX graph; without it the op runs in the memory of its device only. */
  readonly lower?: (lowering: Lowering) => onnx.Value;
}
