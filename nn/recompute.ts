import { type DeviceHeap, type DType, type Span, subspan } from "../kernels/mod.ts";
import type { Layer } from "./model.ts";
import type { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** Memory for activations that live during one segment only: every segment uses it from the start again. */
export class SegmentMemory {
  readonly #heap: DeviceHeap;
  readonly #blocks: Span[] = [];
  #next = 0;

  /** Holds nothing yet. */
  constructor(heap: DeviceHeap) {
    this.#heap = heap;
  }

  /** Begins a segment: what earlier ones hold will be overwritten when this one runs. */
  begin(): void {
    this.#next = 0;
  }

  /** The next block of the segment; blocks of segments of equal shapes coincide. */
  allocate(name: string, length: number, dtype: DType): Span {
    const place = this.#next++, known = this.#blocks[place];
    if (known !== undefined && known.dtype === dtype && known.length >= length) {
      return subspan(known, 0, length);
    }
    const block = this.#heap.allocate(name, length, "activations", dtype);
    this.#blocks[place] = block;
    return block;
  }
}

/**
 * Records `build` as one op that keeps only its input and output: the backward pass runs the forward pass again.
 *
 * Cost: one more forward pass of the segment; its activations in memory once instead of once per segment. The numbers are
 * the same bits, as the same kernels run on the same values.
 *
 * Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
 *
 * @param inputs What the segment reads besides parameters.
 */
export function recomputed(
  tape: Tape,
  name: string,
  inputs: readonly Tensor[],
  build: (inner: Tape, inputs: readonly Tensor[]) => Tensor,
): Tensor {
  const inner = tape.recompute!.makeInner(), { backend } = tape;
  inner.nestIn(tape);
  const aliases = inputs.map((input) => inner.alias(input));
  const result = build(inner, aliases.map(({ tensor }) => tensor));
  const seed = inner.handoffTo(result);
  inner.plan();
  tape.auxiliary.push(...inner.auxiliary);
  const out = tape.output(name, result.shape, [...inputs, ...inner.parameters]);
  return tape.record({
    name,
    inputs: [...inputs, ...inner.parameters],
    output: out,
    forward: () => {
      inner.forward();
      backend.copy(result.span, out.span);
    },
    backward: (gradients) => {
      const dOut = gradients.output(out);
      const deliveries = inputs.map((input, i) => ({
        target: gradients.input(input),
        from: aliases[i].gradient,
      }));
      return {
        input: () => {
          inner.lossScale = tape.lossScale;
          inner.forward();
          backend.copy(dOut, seed);
          inner.backward();
          for (const { target, from } of deliveries) {
            if (target?.accumulate) backend.axpy(1, from!, target.span);
            else if (target !== undefined) backend.copy(from!, target.span);
          }
        },
      };
    },
  });
}

/** A layer that is recomputed where its tape recomputes whole layers. */
export function recomputedLayer(name: string, layer: Layer): Layer {
  return {
    forward: (tape, x) =>
      tape.recompute?.mode === "full"
        ? recomputed(tape, name, [x], (inner, [input]) => layer.forward(inner, input))
        : layer.forward(tape, x),
  };
}
