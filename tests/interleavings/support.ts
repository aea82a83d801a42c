/** The shipped collectives on the explorer's words and payload. */
import { ControlBlock, ControlLayout, Endpoint, type Topology, type Words } from "../../collectives/mod.ts";
import type { DType, PeerLink, Span } from "../../kernels/mod.ts";
import type { AgentWords, PendingOperation } from "./agent.ts";
import type { Scenario } from "./explorer.ts";

/** One rank in a scenario. */
export interface FakeDevice {
  endpoint: Endpoint;
  rank: number;
  /** Writes a span of this rank, one number per cell. */
  write(span: Span, ...values: number[]): void;
  /** Reads a span of this rank. */
  read(span: Span): number[];
  /** Reads a span of another rank, without asking. */
  readPeer(peer: number, span: Span): number[];
}

/** How to set up the ranks. */
export interface WorldOptions {
  worldSize: number;
  ringSlots?: number;
  channelSlots?: number;
  /** Plants a bug: wraps a rank's words. */
  wrapWords?: (words: Words, layout: ControlLayout, rank: number) => Words;
  /** Whether ABORT is a word at which agents are switched; quiet otherwise. */
  exploresAbort?: boolean;
}

/** Elements that one payload cell stands for: chunks of an all-reduce are a multiple of it. */
const CELL_ELEMENTS = 32;
const CELL_BYTES = 4 * CELL_ELEMENTS;

/** First payload cell of the buffers of the group. */
const HEAP_CELL = 1024;

/** The f32 span of payload cells `[cell, cell + cells)` of a rank. */
export function payloadSpan(cell: number, cells: number): Span {
  return { byteOffset: cell * CELL_BYTES, length: cells * CELL_ELEMENTS, dtype: "f32" };
}

/** A scenario in which every rank runs its program on the shipped endpoint, group "all". */
export function worldScenario(options: WorldOptions, programs: ((device: FakeDevice) => void)[]): Scenario {
  const { worldSize } = options;
  const topology: Topology = { worldSize, groups: [{ name: "all", ranks: programs.map((_, rank) => rank) }] };
  const layout = new ControlLayout(topology, options);
  const firstGroupWord = layout.announced(0, 0);
  return {
    agents: programs.map((program, rank) => (words) => program(deviceOf(words, layout, rank, options))),
    isQuiet: (word) => word < firstGroupWord && !(options.exploresAbort && word === layout.abort),
    ...wordNames(layout),
  };
}

function deviceOf(agent: AgentWords, layout: ControlLayout, rank: number, options: WorldOptions): FakeDevice {
  const words = options.wrapWords?.(agent, layout, rank) ?? agent;
  const control = new ControlBlock(words, layout);
  const links = Array.from({ length: options.worldSize }, (_, peer) => fakeLink(agent, rank, peer));
  let top = HEAP_CELL;
  const heap = {
    allocate(_name: string, length: number, _category: string, dtype: DType): Span {
      const cells = Math.ceil(length / CELL_ELEMENTS);
      top += cells;
      return { byteOffset: (top - cells) * CELL_BYTES, length, dtype };
    },
  };
  const endpoint = new Endpoint({ control, rank, links, heap, wait: { spinLimit: 0, clock: () => 0 } });
  const readPeer = (peer: number, { byteOffset, length }: Span) =>
    Array.from(
      { length: length / CELL_ELEMENTS },
      (_, i) => agent.readPayload(peer, byteOffset / CELL_BYTES + i),
    );
  return {
    endpoint,
    rank,
    write: ({ byteOffset }, ...values) =>
      values.forEach((value, i) => agent.writePayload(rank, byteOffset / CELL_BYTES + i, value)),
    read: (span) => readPeer(rank, span),
    readPeer,
  };
}

function fakeLink(agent: AgentWords, own: number, peer: number): PeerLink {
  const combine =
    (f: (a: number, b: number) => number) => (ownOffset: number, peerOffset: number, length: number) => {
      for (let i = 0; i < length / CELL_ELEMENTS; i++) {
        const a = agent.readPayload(own, ownOffset / CELL_BYTES + i);
        const b = agent.readPayload(peer, peerOffset / CELL_BYTES + i);
        agent.writePayload(own, ownOffset / CELL_BYTES + i, Math.fround(f(a, b)));
      }
    };
  const sum = combine((a, b) => a + b);
  const copy = (from: number, to: number) => (fromOffset: number, toOffset: number, byteLength: number) => {
    for (let i = 0; i < byteLength / CELL_BYTES; i++) {
      agent.writePayload(to, toOffset / CELL_BYTES + i, agent.readPayload(from, fromOffset / CELL_BYTES + i));
    }
  };
  const pull = copy(peer, own), push = copy(own, peer);
  const refuse = () => {
    throw new TypeError("a cell holds float32: no scenario is about bf16");
  };
  return {
    sumBf16: refuse,
    sumBothBf16: refuse,
    widenBf16: refuse,
    addBf16: refuse,
    narrowBf16: refuse,
    sumF32: sum,
    sumF64: sum,
    sumI32: sum,
    maxF32: combine(Math.max),
    copyFromPeer: (ownOffset, peerOffset, bytes) => pull(peerOffset, ownOffset, bytes),
    copyToPeer: push,
    sumBothF32: (ownOffset, peerOffset, length) => {
      sum(ownOffset, peerOffset, length);
      push(ownOffset, peerOffset, length * 4);
    },
  };
}

const LOAD_TAGS: Record<string, string> = {
  ABORT: "[abort?]",
  ANNOUNCED: "[acquire]",
  DONE: "[complete]",
  STEP: "[left?]",
  PARKED: "[wake?]",
  TAIL: "[acquire]",
  HEAD: "[reuse]",
};
const STORE_TAGS: Record<string, string> = {
  ABORT: "[first cause]",
  ANNOUNCED: "[publish]",
  DONE: "[release]",
  STEP: "[step]",
  PARKED: "[parking]",
  TAIL: "[publish]",
  HEAD: "[release]",
};

function wordNames(layout: ControlLayout): Pick<Scenario, "nameOf" | "tagOf"> {
  const names = new Map<number, string>([[layout.abort, "ABORT"]]);
  const size = layout.topology.groups[0].ranks.length;
  for (let i = 0; i < size; i++) {
    names.set(layout.announced(0, i), `ANNOUNCED[${i}]`);
    names.set(layout.done(0, i), `DONE[${i}]`);
    names.set(layout.step(0, i), `STEP[${i}]`);
    names.set(layout.parked(0, i), `PARKED[${i}]`);
    for (let j = 0; j < size; j++) {
      names.set(layout.tail(0, i, j), `TAIL[${i}->${j}]`);
      names.set(layout.head(0, i, j), `HEAD[${i}->${j}]`);
      names.set(layout.tail(0, i, j) + 1, `PARKED[sender ${i}->${j}]`);
      names.set(layout.head(0, i, j) + 1, `PARKED[receiver ${i}->${j}]`);
    }
  }
  const nameOf = (word: number) => names.get(word) ?? `word ${word}`;
  const tagOf = ({ kind, word }: PendingOperation) => {
    if (kind === "notify") return "[wake]";
    if (kind === "park") return "[park]";
    return (kind === "load" ? LOAD_TAGS : STORE_TAGS)[nameOf(word).split("[")[0]] ?? "";
  };
  return { nameOf, tagOf };
}
