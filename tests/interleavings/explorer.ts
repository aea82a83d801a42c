/**
 * Runs small scenarios of the shipped protocol code in all interleavings of its word operations.
 *
 * JavaScript's atomics are sequentially consistent, so it is enough to explore interleavings. An agent is a function
 * whose behaviour depends on nothing but what its word operations return. To advance it by one operation, the explorer
 * runs it from the start, feeds it the recorded results, executes the next operation on the current memory and stops
 * it, by an exception, at the operation after that. Plain accesses are executed at once and checked for races with
 * vector clocks; if there is none, where exactly they run between two word operations makes no difference.
 *
 * States are visited breadth first and once: a state is the memory, what each agent has seen, and the clocks. So the
 * first failure found has the shortest schedule, which is printed as a table.
 *
 * A park has no timeout here: an agent that is parked for ever is a lost wake-up. With `timeouts`, a park ends when
 * nobody else can run, at most three times an agent.
 */
import { Memory, mix } from "./memory.ts";
import { AgentWords, type PendingOperation, Stop } from "./agent.ts";

/** What an agent of a scenario sees: its words, and payload memory of all ranks. */
export type Agent = (words: AgentWords) => void;

/** Agents that start together, and what must hold when all have ended. */
export interface Scenario {
  agents: Agent[];
  /** Words that only one agent writes and reads, or nobody writes: no choice is made at them. Checked. */
  isQuiet?: (word: number) => boolean;
  /** Ends parks when nobody can run, so that code that relies on timed slices goes on. */
  timeouts?: boolean;
  /** Names of words in the printed schedule. */
  nameOf?: (word: number) => string;
  /** Text that says what the operation is for, such as `[publish]`. */
  tagOf?: (operation: PendingOperation) => string;
  /** Errors that agents may throw; others fail the scenario. */
  isExpectedError?: (agent: number, error: Error) => boolean;
  /** Called when all agents have ended, with what payload cells hold; returns what is wrong. */
  check?: (read: (rank: number, cell: number) => number, errors: (Error | undefined)[]) => string | undefined;
  /** Explores only schedules with at most so many switches away from an agent that could go on; by default all. */
  maxPreemptions?: number;
  /** Gives up above this number of states; by default 400,000. */
  maxStates?: number;
}

/** What was explored, and the shortest failure. */
export interface Exploration {
  states: number;
  /** Complete executions that ended differently. */
  endings: number;
  failure?: string;
  /** The failing schedule, a line per operation. */
  schedule?: string;
}

interface AgentState {
  log: readonly number[];
  hashA: number;
  hashB: number;
  pending?: PendingOperation;
  parkedOn?: number;
  isWoken: boolean;
  hasEnded: boolean;
  timeouts: number;
  error?: Error;
}

interface Step {
  agent: number;
  operation: PendingOperation;
  note: string;
}

interface State {
  memory: Memory;
  agents: AgentState[];
  /** The agent that ran last, if preemptions are bounded, and the preemptions so far. */
  running: number;
  preemptions: number;
  parent?: State;
  /** The step that led here. */
  taken?: Step;
}

const MAX_TIMEOUTS = 3;

/** Explores all interleavings of a scenario. */
export function explore(scenario: Scenario): Exploration {
  return new Explorer(scenario).run();
}

class Explorer {
  readonly #scenario: Scenario;
  readonly #visited = new Set<number>();
  readonly #quiet = new Map<number, { agents: Set<number>; isWritten: boolean }>();
  #states = 0;
  #endings = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
  }

  run(): Exploration {
    let frontier: State[] = [this.#start()];
    while (frontier.length > 0) {
      const next: State[] = [];
      for (const state of frontier) {
        const failure = this.#expand(state, next);
        if (failure !== undefined) return this.#fail(failure.state, failure.text);
        if (this.#states > (this.#scenario.maxStates ?? 400_000)) {
          return this.#fail(state, `more than ${this.#states} states: make the scenario smaller`);
        }
      }
      frontier = next;
    }
    for (const [word, { agents, isWritten }] of this.#quiet) {
      if (isWritten && agents.size > 1) {
        throw new Error(`word ${word} is not quiet: agents ${[...agents]} use it`);
      }
    }
    return { states: this.#states, endings: this.#endings };
  }

  #start(): State {
    const numAgents = this.#scenario.agents.length;
    const agents = this.#scenario.agents.map((): AgentState => ({
      log: [],
      hashA: 0,
      hashB: 0,
      isWoken: false,
      hasEnded: false,
      timeouts: 0,
    }));
    const state: State = { memory: new Memory(numAgents), agents, running: -1, preemptions: 0 };
    for (let i = 0; i < numAgents; i++) this.#runAgent(state, i, 0);
    return state;
  }

  /** Visits what can follow a state; returns the failure if one does. */
  #expand(state: State, next: State[]): { state: State; text: string } | undefined {
    const { agents } = state;
    const enabled = agents.flatMap((agent, i) => this.#canRun(agent) ? [i] : []);
    if (enabled.length === 0) {
      if (agents.every((agent) => agent.hasEnded)) return this.#end(state);
      if (!this.#scenario.timeouts) return { state, text: describeParked(agents, this.#scenario) };
      for (const [i, agent] of agents.entries()) {
        if (agent.parkedOn === undefined) continue;
        if (agent.timeouts === MAX_TIMEOUTS) return { state, text: describeParked(agents, this.#scenario) };
        enabled.push(i);
      }
    }
    for (const i of enabled) {
      const child = this.#advance(state, i);
      if (child.preemptions > (this.#scenario.maxPreemptions ?? Infinity)) continue;
      if (child.memory.race !== undefined) return { state: child, text: child.memory.race };
      const { error } = child.agents[i];
      if (error !== undefined && !this.#scenario.isExpectedError?.(i, error)) {
        return { state: child, text: `agent ${i} failed: ${error.stack}` };
      }
      if (this.#isNew(child)) next.push(child);
    }
    return undefined;
  }

  #end(state: State): { state: State; text: string } | undefined {
    this.#endings++;
    const read = (rank: number, cell: number) => state.memory.peek(rank, cell);
    const text = this.#scenario.check?.(read, state.agents.map(({ error }) => error));
    return text === undefined ? undefined : { state, text };
  }

  #canRun(agent: AgentState): boolean {
    return !agent.hasEnded && (agent.parkedOn === undefined || agent.isWoken);
  }

  #advance(state: State, i: number): State {
    const agents = state.agents.map((agent) => ({ ...agent }));
    const agent = agents[i];
    const operation = agent.pending!;
    const taken = { agent: i, operation, note: "" };
    const child: State = {
      memory: state.memory.clone(),
      agents,
      running: -1,
      preemptions: 0,
      parent: state,
      taken,
    };
    if (this.#scenario.maxPreemptions !== undefined) {
      const isPreempted = state.running !== i && state.running >= 0 &&
        this.#canRun(state.agents[state.running]);
      child.running = i;
      child.preemptions = state.preemptions + +isPreempted;
    }
    if (operation.kind === "park" && agent.parkedOn === undefined) {
      if (child.memory.load(i, operation.word) === operation.value) {
        agent.parkedOn = operation.word;
        taken.note = "sleeps";
        return child;
      }
    }
    if (agent.parkedOn !== undefined) {
      taken.note = agent.isWoken ? "was woken" : "timed out";
      if (!agent.isWoken) agent.timeouts++;
      agent.parkedOn = undefined;
      agent.isWoken = false;
    }
    if (operation.kind === "notify") {
      for (const other of agents) if (other.parkedOn === operation.word) other.isWoken = true;
    }
    this.#runAgent(child, i, 1);
    return child;
  }

  /** Runs an agent from the start through its log and `budget` further operations. */
  #runAgent(state: State, i: number, budget: number): void {
    const agent = state.agents[i];
    const words = new AgentWords({
      agent: i,
      log: agent.log,
      hashA: agent.hashA,
      hashB: agent.hashB,
      memory: state.memory,
      budget,
      isQuiet: (word, isWrite) => this.#noteQuiet(i, word, isWrite),
    });
    try {
      this.#scenario.agents[i](words);
      agent.hasEnded = true;
    } catch (error) {
      if (!(error instanceof Stop)) {
        agent.hasEnded = true;
        agent.error = error as Error;
      }
    }
    agent.log = words.log;
    agent.hashA = words.hashA;
    agent.hashB = words.hashB;
    agent.pending = words.pending;
  }

  #noteQuiet(agent: number, word: number, isWrite: boolean): boolean {
    if (!this.#scenario.isQuiet?.(word)) return false;
    let use = this.#quiet.get(word);
    if (use === undefined) this.#quiet.set(word, use = { agents: new Set(), isWritten: false });
    use.agents.add(agent);
    if (isWrite) use.isWritten = true;
    return true;
  }

  #isNew(state: State): boolean {
    let { hashA, hashB } = state.memory;
    hashA = mix(hashA, state.preemptions * 16 + state.running);
    for (const agent of state.agents) {
      const flags = +agent.isWoken + 2 * +agent.hasEnded + 4 * agent.timeouts;
      hashA = mix(mix(mix(hashA, agent.hashA), agent.parkedOn ?? -1), flags);
      hashB = mix(hashB ^ hashA, agent.hashB);
    }
    const key = (hashA >>> 0) * 2 ** 21 + (hashB >>> 11);
    if (this.#visited.has(key)) return false;
    this.#visited.add(key);
    this.#states++;
    return true;
  }

  #fail(state: State, failure: string): Exploration {
    const lines: string[] = [];
    for (let at: State | undefined = state; at?.parent !== undefined; at = at.parent) {
      lines.push(describeStep(at.taken!, this.#scenario));
    }
    const schedule = ["agent  operation", ...lines.reverse()].join("\n");
    return { states: this.#states, endings: this.#endings, failure, schedule };
  }
}

function describeStep({ agent, operation, note }: Step, { nameOf, tagOf }: Scenario): string {
  const { kind, word, value } = operation;
  const name = nameOf?.(word) ?? `word ${word}`;
  const text = kind === "load" || kind === "notify" ? `${kind} ${name}` : `${kind} ${name}, ${value}`;
  return `${String(agent).padStart(5)}  ${text.padEnd(32)} ${(tagOf?.(operation) ?? "").padEnd(14)} ${note}`
    .trimEnd();
}

function describeParked(agents: readonly AgentState[], scenario: Scenario): string {
  const parked = agents.flatMap(({ parkedOn }, i) =>
    parkedOn === undefined ? [] : [`agent ${i} on ${scenario.nameOf?.(parkedOn) ?? `word ${parkedOn}`}`]
  );
  return `parked for ever: ${parked.join(", ")}`;
}
