/**
 * When a trial of two tiles may end: code starts in V8's baseline compiler, and what counts is the speed that the
 * optimising compiler reaches, some 10 to 50 ms later, on a busy machine much later.
 *
 * @module
 */

/** Timings whose median is the speed of the baseline compiler: the very first ones are slower still, with cold caches. */
const BASELINE_TIMES = 5;
/** Optimised code is 2.3 (wide tile without the flags) to 6 times as fast as baseline code. */
const COMPILED_GAIN = 1.6;
/** No timing has been better by a tenth for so long. */
const SETTLED_MS = 4;
/** The same without a gain: the code was optimised before, as another agent of the process has run it. */
const IDLE_MS = 100;
/**
 * Speed of the wide tile over that of the narrow one if both are optimised: 0.76 without the flags, 1.5 to 2.3 with them.
 * One of them in baseline code gives 0.3 or less, or 2.9 or more.
 */
const PLAUSIBLE = { min: 0.5, max: 2.6 };

/** Times of one tile. */
export class TrialTimes {
  readonly #first: number[] = [];
  #bestMs = Infinity;
  #improvedAt = 0;

  /** Takes in a time that was measured at `at`. */
  add(ms: number, at: number): void {
    if (this.#first.length < BASELINE_TIMES) this.#first.push(ms);
    if (ms < 0.9 * this.#bestMs) this.#improvedAt = at;
    this.#bestMs = Math.min(this.#bestMs, ms);
  }

  /** The best time: what disturbs a measurement makes it longer. */
  get bestMs(): number {
    return this.#bestMs;
  }

  /** Whether the optimising compiler is done, as far as times tell. */
  isSettled(now: number): boolean {
    const baseline = this.#first.toSorted((a, b) => a - b)[BASELINE_TIMES >> 1];
    const hasGained = baseline > COMPILED_GAIN * this.#bestMs;
    return now > this.#improvedAt + (hasGained ? SETTLED_MS : IDLE_MS);
  }
}

/** Whether both tiles have reached their speed. */
export function areSettled({ narrow, wide }: { narrow: TrialTimes; wide: TrialTimes }, now: number): boolean {
  const ratio = narrow.bestMs / wide.bestMs;
  return narrow.isSettled(now) && wide.isSettled(now) && ratio > PLAUSIBLE.min && ratio < PLAUSIBLE.max;
}
