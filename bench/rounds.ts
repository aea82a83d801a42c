import type { Contestant } from "./peer.ts";
import { median } from "./statistics.ts";

/** What every answer has. */
export interface Timed {
  /** Times of what was done; their median over all rounds is the figure. */
  readonly ms: readonly number[];
}

/**
 * Lets the contestants do a task in turn, so that a slow moment of the machine hits all of them.
 *
 * @returns Median time of each, and what it answered first.
 */
export async function measureInTurn<Task, Answer extends Timed>(
  contestants: readonly Contestant<Task, Answer>[],
  task: Task,
  rounds: number,
): Promise<{ ms: Map<string, number>; first: Map<string, Answer> }> {
  const times = new Map<string, number[]>(), first = new Map<string, Answer>();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      const answer = await contestant.round(task), { name } = contestant;
      if (round === 0) first.set(name, answer);
      times.set(name, [...times.get(name) ?? [], ...answer.ms]);
    }
  }
  return { ms: new Map([...times].map(([name, values]) => [name, median(values)])), first };
}
