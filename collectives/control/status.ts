import { type ControlBlock, MAX_LABEL_BYTES, MAX_LABELS, STATUS } from "./control_block.ts";

/** What a rank does, as others see it. */
export const STATES = ["starting", "running", "waiting", "finished", "failed"] as const;
/** One of {@link STATES}. */
export type State = typeof STATES[number];

/** Operations that a rank can wait in; the index is what is stored. */
export const OPERATIONS = [
  "none",
  "allReduce",
  "reduceScatter",
  "allGather",
  "broadcast",
  "allToAll",
  "barrier",
  "send",
  "recv",
] as const;
/** One of {@link OPERATIONS}. */
export type OperationName = typeof OPERATIONS[number];

/** Number of an operation, as words hold it. */
export function operationCode(name: OperationName): number {
  return OPERATIONS.indexOf(name);
}

/**
 * The word a rank cannot go on without: `word` must reach `target`, and `peer` writes it.
 *
 * Whoever polls fills it in when the poll fails; it becomes public only if the wait lasts.
 */
export interface WaitPoint {
  /** The awaited word. */
  word: number;
  /** What was there when it was last read. */
  seen: number;
  /** What it must reach. */
  target: number;
  /** Counts who is parked on `word`. */
  parkedWord: number;
  /** The rank that writes it. */
  peer: number;
  /** What is waited in, by its place in {@link OPERATIONS}. */
  operation: number;
  /** Place of the group in the topology. */
  group: number;
  /** Number of the operation or message. */
  sequence: number;
  /** Number of the label in the table of the rank that waits. */
  label: number;
}

/** A wait point of nobody. */
export function emptyWaitPoint(): WaitPoint {
  const nowhere = { word: 0, seen: 0, target: 0, parkedWord: 0 };
  return { ...nowhere, peer: 0, operation: 0, group: 0, sequence: 0, label: 0 };
}

/** What a rank has published about itself, read by another agent. */
export interface StatusReport {
  /** The rank that published it. */
  rank: number;
  /** What it does. */
  state: State;
  /** Its training step. */
  step: number;
  /** Part of the step; empty if it said nothing. */
  phase: string;
  /** What it waits for, if `state` is "waiting". */
  wait?: WaitReport;
}

/** A published wait in words. */
export interface WaitReport {
  /** What it is in. */
  operation: OperationName;
  /** Name of the group. */
  group: string;
  /** Number of the operation in its group, or of the message in its channel. */
  sequence: number;
  /** The rank that it waits for. */
  peer: number;
  /** The tensor; empty if there is no name. */
  label: string;
  /** Changes with every published wait. */
  version: number;
  /** Changes with every look at the word. */
  heartbeat: number;
  /** The word that it waits on. */
  word: number;
  /** What the word must reach. */
  target: number;
}

/**
 * The status line of one rank, written by that rank.
 *
 * Words: STATE, STEP, PHASE, HEARTBEAT, LABEL_COUNT and the WAIT record, one writer, any reader. The record may be
 * read while it changes, which an odd WAIT_VERSION says; a reader that draws conclusions looks at it twice
 * (`wait_graph.ts`).
 *
 * Place                               writer             reader
 *   store PHASE 0           ......... 1
 *   store STEP              ......... 2
 *   store PHASE             ......... 3
 *   load STEP               ..............................  4
 *   load PHASE              ..............................  5
 *   load STEP, the same     ..............................  6  else again
 *   Steps only grow, so 5 read what was there while STEP was that of 4: the phase of this step, or none.
 *
 * Checked by  tests/interleavings/status_test.ts
 */
export class RankStatus {
  readonly #control: ControlBlock;
  readonly #rank: number;
  readonly #line: number;
  readonly #labels = new Map<string, number>();
  #numLabels = 1;
  #version = 0;
  #heartbeat = 0;
  #state: State = "starting";

  /** Writes the status line of a rank; one object per rank. */
  constructor(control: ControlBlock, rank: number) {
    this.#control = control;
    this.#rank = rank;
    this.#line = control.layout.status(rank);
  }

  /** Publishes the state; `waiting` is set by the waits themselves. */
  setState(state: State): void {
    this.#state = state;
    this.#store(STATUS.STATE, STATES.indexOf(state));
  }

  /** Publishes the training step, and what part of it runs, such as "forward". */
  setPlace(step: number, phase: string): void {
    // No phase while the step changes: nobody must see the new step with the old phase.
    this.#store(STATUS.PHASE, 0);
    this.#store(STATUS.STEP, step);
    this.#store(STATUS.PHASE, this.label(phase));
  }

  /**
   * The number of a label in this rank's table, which every rank can read.
   *
   * The text is written once, before LABEL_COUNT and before any word that mentions the number.
   */
  label(text: string | undefined): number {
    if (text === undefined) return 0;
    const known = this.#labels.get(text);
    if (known !== undefined) return known;
    const id = this.#numLabels < MAX_LABELS ? this.#numLabels++ : 0;
    this.#labels.set(text, id);
    if (id === 0) return 0;
    const { layout, words } = this.#control;
    const cell = layout.label(this.#rank, id);
    words.set(cell, this.#control.writeText(cell + 1, text, MAX_LABEL_BYTES));
    this.#store(STATUS.LABEL_COUNT, id + 1);
    return id;
  }

  /** Makes a wait public. */
  publishWait(at: WaitPoint): void {
    this.#store(STATUS.WAIT_VERSION, ++this.#version);
    this.#store(STATUS.WAIT_OP, at.operation);
    this.#store(STATUS.WAIT_GROUP, at.group);
    this.#store(STATUS.WAIT_SEQUENCE, at.sequence);
    this.#store(STATUS.WAIT_PEER, at.peer);
    this.#store(STATUS.WAIT_LABEL, at.label);
    this.#store(STATUS.WAIT_WORD, at.word);
    this.#store(STATUS.WAIT_TARGET, at.target);
    this.#store(STATUS.STATE, STATES.indexOf("waiting"));
    this.#store(STATUS.WAIT_VERSION, ++this.#version);
  }

  /** Takes the wait back. */
  clearWait(): void {
    this.#store(STATUS.WAIT_VERSION, ++this.#version);
    this.#store(STATUS.STATE, STATES.indexOf(this.#state));
    this.#store(STATUS.WAIT_VERSION, ++this.#version);
  }

  /** Shows that the waiting rank has looked again and has nothing else to do. */
  beat(): void {
    this.#store(STATUS.HEARTBEAT, ++this.#heartbeat);
  }

  #store(place: number, value: number): void {
    this.#control.words.store(this.#line + place, value);
  }
}

/** Reads what a rank has published. */
export function readStatus(control: ControlBlock, rank: number): StatusReport {
  const line = control.layout.status(rank);
  const load = (place: number) => control.words.load(line + place);
  const state = STATES[load(STATUS.STATE)] ?? "starting";
  const report: StatusReport = { rank, state, ...readPlace(control, rank) };
  if (state !== "waiting") return report;
  const version = load(STATUS.WAIT_VERSION);
  const wait: WaitReport = {
    operation: OPERATIONS[load(STATUS.WAIT_OP)] ?? "none",
    group: control.layout.topology.groups[load(STATUS.WAIT_GROUP)]?.name ?? "?",
    sequence: load(STATUS.WAIT_SEQUENCE),
    peer: load(STATUS.WAIT_PEER),
    label: readLabel(control, rank, load(STATUS.WAIT_LABEL)),
    version,
    heartbeat: load(STATUS.HEARTBEAT),
    word: load(STATUS.WAIT_WORD),
    target: load(STATUS.WAIT_TARGET),
  };
  const isTorn = (version & 1) !== 0 || load(STATUS.WAIT_VERSION) !== version;
  return isTorn ? report : { ...report, wait };
}

/** Looks for a place before the step is reported without its phase: a rank that changes it so often is fast. */
const MAX_LOOKS = 4;

/** Step and phase that were true together; see {@link RankStatus}. */
export function readPlace(control: ControlBlock, rank: number): Pick<StatusReport, "step" | "phase"> {
  const line = control.layout.status(rank), load = (place: number) => control.words.load(line + place);
  let step = load(STATUS.STEP);
  for (let look = 0; look < MAX_LOOKS; look++) {
    const phase = load(STATUS.PHASE), after = load(STATUS.STEP);
    if (after === step) return { step, phase: readLabel(control, rank, phase) };
    step = after;
  }
  return { step, phase: "" };
}

/** The text of a label of a rank; empty for label 0. */
export function readLabel(control: ControlBlock, rank: number, id: number): string {
  const count = control.words.load(control.layout.status(rank) + STATUS.LABEL_COUNT);
  if (id <= 0 || id >= count) return "";
  const cell = control.layout.label(rank, id);
  return control.readText(cell + 1, control.words.get(cell));
}

/** `rank 1 waits for rank 0 in allReduce #5 of group dp (h.0.attn)`: one rank's report in words. */
export function describeStatus({ rank, state, step, phase, wait }: StatusReport): string {
  const where = phase === "" ? `step ${step}` : `step ${step}, ${phase}`;
  if (wait === undefined) return `rank ${rank} is ${state} (${where})`;
  const label = wait.label === "" ? "" : ` (${wait.label})`;
  return `rank ${rank} waits for rank ${wait.peer} in ${wait.operation} #${wait.sequence} ` +
    `of group ${wait.group}${label}`;
}

/** What every rank of the world does, one line each: for a deadline that has passed. */
export function describeWorld(control: ControlBlock): string {
  const lines: string[] = [];
  for (let rank = 0; rank < control.layout.topology.worldSize; rank++) {
    lines.push(describeStatus(readStatus(control, rank)));
  }
  return lines.join("\n");
}
