/**
 * Who takes part in a comparison: our own variants and the peers, each behind the same small interface.
 *
 * A peer is looked for when it is asked for, and never installed; one that is not there is named with the reason.
 *
 * @module
 */

/** Somebody who is measured. */
export interface Contestant<Task, Answer> {
  readonly name: string;
  /** Whether it is one of ours: ratios are of ours over the peers. */
  readonly isOurs: boolean;
  /** Does the task once and says how long it took. */
  round(task: Task): Promise<Answer>;
  /** Ends what it started. */
  close(): Promise<void>;
}

/** A peer that cannot be measured on this machine. */
export class AbsentPeer extends Error {
  override readonly name = "AbsentPeer";

  /**
   * @param reason What was looked for and not found.
   * @param remedy What to do to have it.
   */
  constructor(reason: string, readonly remedy: string) {
    super(reason);
  }
}

/** How a contestant is opened, with the name that is printed if it is absent. */
export interface Entry<Task, Answer> {
  readonly name: string;
  open(): Promise<Contestant<Task, Answer>>;
}

/** Contestants that are here, and a line for each that is not. */
export interface Lineup<Task, Answer> {
  readonly contestants: readonly Contestant<Task, Answer>[];
  readonly absent: readonly string[];
}

/** Opens all that are here. What is ours must be: its failure is passed on. */
export async function openAll<Task, Answer>(
  entries: readonly Entry<Task, Answer>[],
): Promise<Lineup<Task, Answer>> {
  const contestants: Contestant<Task, Answer>[] = [], absent: string[] = [];
  for (const { name, open } of entries) {
    try {
      contestants.push(await open());
    } catch (error) {
      if (!(error instanceof AbsentPeer)) {
        await closeAll(contestants);
        throw error;
      }
      absent.push(`${name} is not measured: ${error.message}; ${error.remedy}`);
    }
  }
  return { contestants, absent };
}

/** Ends all of them, also when one cannot be ended well. */
export async function closeAll(contestants: readonly Contestant<never, unknown>[]): Promise<void> {
  await Promise.allSettled(contestants.map((contestant) => contestant.close()));
}
