import type { Words } from "../../collectives/mod.ts";
import { type Memory, mix, payloadCell } from "./memory.ts";

/** Thrown at the operation where an agent is stopped. */
export class Stop extends Error {}

/** A word operation that an agent is about to do. */
export interface PendingOperation {
  kind: "load" | "store" | "add" | "compareExchange" | "park" | "notify";
  word: number;
  value: number;
}

/** How an agent is run. */
export interface AgentRun {
  agent: number;
  /** Results of its operations so far. */
  log: readonly number[];
  hashA: number;
  hashB: number;
  memory: Memory;
  /** Word operations that may be executed after the log. */
  budget: number;
  /** Notes the use of a word; true if it is no place to switch agents. */
  isQuiet: (word: number, isWrite: boolean) => boolean;
}

/** {@link Words} of one agent: answers from the log, then executes, then stops the agent. */
export class AgentWords implements Words {
  /** Results of all operations, the new ones included. */
  readonly log: number[];
  /** Two hashes of the log. */
  hashA: number;
  hashB: number;
  /** What the agent does next, if it was stopped. */
  pending: PendingOperation | undefined;
  readonly #run: AgentRun;
  #at = 0;
  #budget: number;

  constructor(run: AgentRun) {
    this.#run = run;
    this.#budget = run.budget;
    this.log = run.log.slice();
    this.hashA = run.hashA;
    this.hashB = run.hashB;
  }

  load(word: number): number {
    const { agent, memory } = this.#run;
    return this.#step({ kind: "load", word, value: 0 }, () => memory.load(agent, word));
  }

  store(word: number, value: number): void {
    const { agent, memory } = this.#run;
    this.#step({ kind: "store", word, value }, () => {
      memory.store(agent, word, value);
      return 0;
    });
  }

  add(word: number, delta: number): number {
    const { agent, memory } = this.#run;
    return this.#step({ kind: "add", word, value: delta }, () => {
      const before = memory.load(agent, word);
      memory.store(agent, word, (before + delta) | 0);
      return before;
    });
  }

  compareExchange(word: number, expected: number, value: number): number {
    const { agent, memory } = this.#run;
    return this.#step({ kind: "compareExchange", word, value }, () => {
      const before = memory.load(agent, word);
      if (before === expected) memory.store(agent, word, value);
      return before;
    });
  }

  /** The explorer has dealt with sleeping; executing it means that it ends. */
  park(word: number, seen: number): void {
    this.#step({ kind: "park", word, value: seen }, () => 0);
  }

  /** The explorer has dealt with waking. */
  notify(word: number): void {
    this.#step({ kind: "notify", word, value: 0 }, () => 0);
  }

  pause(): void {}

  get(word: number): number {
    return this.#plain(() => this.#run.memory.read(this.#run.agent, word));
  }

  set(word: number, value: number): void {
    this.#plain(() => {
      this.#run.memory.write(this.#run.agent, word, value);
      return 0;
    });
  }

  /** Plain read of payload. */
  readPayload(rank: number, cell: number): number {
    return this.#plain(() => this.#run.memory.read(this.#run.agent, payloadCell(rank, cell)));
  }

  /** Plain write of payload. */
  writePayload(rank: number, cell: number, value: number): void {
    this.#plain(() => {
      this.#run.memory.write(this.#run.agent, payloadCell(rank, cell), value);
      return 0;
    });
  }

  #step(operation: PendingOperation, execute: () => number): number {
    if (this.pending !== undefined) throw new Stop(); // in a `finally` on the way out
    const { kind, word } = operation;
    if (this.#run.isQuiet(word, kind !== "load" && kind !== "park" && kind !== "notify")) {
      return this.#plain(execute);
    }
    if (this.#at < this.log.length) return this.log[this.#at++];
    if (this.#budget === 0) {
      this.pending = operation;
      throw new Stop();
    }
    this.#budget--;
    return this.#plain(execute);
  }

  #plain(execute: () => number): number {
    if (this.pending !== undefined) throw new Stop();
    if (this.#at === this.log.length) {
      const result = execute();
      this.log.push(result);
      this.hashA = mix(this.hashA, result);
      this.hashB = mix(this.hashB ^ this.hashA, result + 1);
    }
    return this.log[this.#at++];
  }
}
