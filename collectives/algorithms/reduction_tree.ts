/** What a step of a reduction does to its register. */
export const STEP_KIND = { COPY_PEER: 0, ADD_PEER: 1, ADD_REGISTER: 2 } as const;

/**
 * One step: combine `source` (a member, or a register) into register `target`. Register 0 is the result and starts
 * with the member's own elements; the others are scratch.
 */
export interface ReductionStep {
  kind: number;
  target: number;
  source: number;
}

/** Where a run of `size` members is split: the largest power of two below it. */
export function treeSplit(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/**
 * The steps by which member `index` sums all members in the canonical tree.
 *
 * The tree over members lo..hi-1 splits at {@link treeSplit}. The member starts from its own leaf and, at each
 * node on the way up, adds the sum of the sibling. Sums of two numbers do not depend on their order, so every member
 * gets the same bits (payload bits of NaN excepted).
 */
export function reductionSteps(index: number, size: number): ReductionStep[] {
  const steps: ReductionStep[] = [];
  const sum = (lo: number, hi: number, register: number) => {
    if (hi - lo === 1) {
      steps.push({ kind: STEP_KIND.COPY_PEER, target: register, source: lo });
      return;
    }
    const middle = lo + treeSplit(hi - lo);
    sum(lo, middle, register);
    add(middle, hi, register);
  };
  const add = (lo: number, hi: number, register: number) => {
    if (hi - lo === 1) {
      steps.push({ kind: STEP_KIND.ADD_PEER, target: register, source: lo });
      return;
    }
    sum(lo, hi, register + 1);
    steps.push({ kind: STEP_KIND.ADD_REGISTER, target: register, source: register + 1 });
  };
  const climb = (lo: number, hi: number) => {
    if (hi - lo === 1) return;
    const middle = lo + treeSplit(hi - lo);
    if (index < middle) {
      climb(lo, middle);
      add(middle, hi, 0);
    } else {
      climb(middle, hi);
      add(lo, middle, 0);
    }
  };
  climb(0, size);
  return steps;
}

/** Scratch registers that the steps use. */
export function numRegisters(steps: readonly ReductionStep[]): number {
  return steps.reduce((most, { target }) => Math.max(most, target), 0);
}
