import type { LossScaleState } from "../../checkpoint/mod.ts";

/** Scale of the first step, and updates after which it doubles. */
const START = 2 ** 16, GROWTH_STEPS = 2000;
/** Bounds of the scale: below it the gradients themselves are not finite. */
const MIN = 2 ** -14, MAX = 2 ** 24;

/**
 * A factor that keeps small gradients of a narrow type from vanishing: the loss is multiplied by it and the update
 * divides by it. After an overflow the step is left out and the factor halved; it doubles after 2000 updates in a row.
 *
 * It is a power of two, so that it changes no bit of a gradient that neither overflows nor underflows.
 *
 * Source: Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3.2.
 */
export class LossScale {
  readonly #isDynamic: boolean;
  /** Of the present step, and of the next one. */
  #now: LossScaleState;
  #next: LossScaleState;

  /** With `none` it is 1 and stays so. */
  constructor(mode: "none" | "dynamic", state?: LossScaleState) {
    this.#isDynamic = mode === "dynamic";
    const fresh = { scale: this.#isDynamic ? START : 1, goodSteps: 0, skippedSteps: 0 };
    this.#now = this.#next = this.#isDynamic && state !== undefined ? state : fresh;
  }

  /** Begins a step; returns the factor of its loss. */
  begin(): number {
    this.#now = this.#next;
    return this.scale;
  }

  /** Factor of the loss of this step. */
  get scale(): number {
    return this.#now.scale;
  }

  /** The number, from 1, that the update of a step has: steps that were left out do not count. */
  updateOf(step: number): number {
    return step + 1 - this.#now.skippedSteps;
  }

  /** What a checkpoint after this step keeps; nothing if the scale is not dynamic. */
  get state(): LossScaleState | undefined {
    return this.#isDynamic ? this.#next : undefined;
  }

  /** What the record of this step says. */
  get figures(): { lossScale?: number; isSkipped?: boolean } {
    const isSkipped = this.#next.skippedSteps > this.#now.skippedSteps;
    return this.#isDynamic ? { lossScale: this.scale, isSkipped } : {};
  }

  /**
   * Whether this step is to be made; false if it is to be left out, since its gradients overflowed.
   *
   * @throws {RangeError} If a smaller factor would not help.
   */
  accepts(gradNorm: number): boolean {
    if (!this.#isDynamic) return true;
    const { scale, goodSteps, skippedSteps } = this.#now;
    if (!Number.isFinite(gradNorm)) {
      if (scale <= MIN) throw new RangeError(`gradients overflow with the smallest loss scale, ${MIN}, too`);
      this.#next = { scale: scale / 2, goodSteps: 0, skippedSteps: skippedSteps + 1 };
      return false;
    }
    const grows = goodSteps + 1 === GROWTH_STEPS;
    this.#next = grows
      ? { scale: Math.min(MAX, 2 * scale), goodSteps: 0, skippedSteps }
      : { scale, goodSteps: goodSteps + 1, skippedSteps };
    return true;
  }
}
