import { AtomicsWords, type Words } from "./words.ts";

/** A named, ordered set of ranks that talk; several groups may share a name if no rank is in two of them. */
export interface GroupTopology {
  /** Name, such as "dp". */
  name: string;
  /** Members, in order; the place of a rank here is its index in the group. */
  ranks: number[];
}

/** The ranks of a world and its groups: plain data. */
export interface Topology {
  /** Number of ranks. */
  worldSize: number;
  /** Groups of ranks; every rank attaches with the same list. */
  groups: GroupTopology[];
}

/** Bytes between words of different writers: 64-byte lines are prefetched in pairs on x86-64. */
export const LINE_BYTES = 128;
const LINE = LINE_BYTES / 4;

/** Operations that may be announced ahead in a group: size of the ring of descriptors. */
export const RING_SLOTS = 16;
/** Messages that may be announced ahead in a channel. */
export const CHANNEL_SLOTS = 4;
/** Cells of a descriptor. */
export const DESCRIPTOR_WORDS = 8;

const ERROR_TEXT_WORDS = 512;
const LABEL_WORDS = 16;
/** Labels that a rank can name; later ones are shown as "(unnamed)". */
export const MAX_LABELS = 1024;

/** Words of the status line of a rank, by place; all are written by that rank alone. */
export const STATUS = {
  STATE: 0,
  STEP: 1,
  PHASE: 2,
  HEARTBEAT: 3,
  WAIT_VERSION: 4,
  WAIT_OP: 5,
  WAIT_GROUP: 6,
  WAIT_SEQUENCE: 7,
  WAIT_PEER: 8,
  WAIT_LABEL: 9,
  WAIT_WORD: 10,
  WAIT_TARGET: 11,
  LABEL_COUNT: 12,
} as const;

/** Sizes that tests make smaller. */
export interface LayoutOptions {
  /** A power of two. */
  ringSlots?: number;
  /** A power of two. */
  channelSlots?: number;
}

/**
 * Where every word of a world lies; indices count 32-bit words from the start of the block.
 *
 * The tables of docs/memory_model.md say who writes and who reads each of them.
 */
export class ControlLayout {
  /** The ranks and groups it is made for. */
  readonly topology: Topology;
  /** Operations that a group may announce ahead. */
  readonly ringSlots: number;
  /** Messages that a channel may announce ahead. */
  readonly channelSlots: number;
  /** Words of the whole block. */
  readonly numWords: number;
  /** 0 while the world runs; else who failed first, see `abort.ts`. */
  readonly abort = 0;
  /** 1 when the user asked to stop at the next step. */
  readonly stop: number = LINE;
  readonly #ranks: number;
  readonly #rankWords = LINE + LINE + ERROR_TEXT_WORDS + MAX_LABELS * LABEL_WORDS;
  readonly #groups: number[] = [];

  /** Lays out the words of a topology; the same everywhere. */
  constructor(topology: Topology, options: LayoutOptions = {}) {
    checkTopology(topology);
    this.topology = topology;
    this.ringSlots = options.ringSlots ?? RING_SLOTS;
    this.channelSlots = options.channelSlots ?? CHANNEL_SLOTS;
    this.#ranks = 2 * LINE;
    let top = this.#ranks + (topology.worldSize + 1) * this.#rankWords;
    for (const group of topology.groups) {
      const size = group.ranks.length;
      this.#groups.push(top);
      top += size * this.#memberWords + size * size * this.#channelWords;
    }
    this.numWords = top;
  }

  /** First word of a rank's status line; `worldSize` is the supervisor. */
  status(rank: number): number {
    return this.#ranks + rank * this.#rankWords;
  }

  /** Length of a rank's error text in bytes; the text follows at `errorText`. */
  errorLength(rank: number): number {
    return this.status(rank) + LINE;
  }

  /** First cell of a rank's error text. */
  errorText(rank: number): number {
    return this.status(rank) + 2 * LINE;
  }

  /** First cell of a label: its length in bytes, then its text. */
  label(rank: number, id: number): number {
    return this.errorText(rank) + ERROR_TEXT_WORDS + id * LABEL_WORDS;
  }

  /** Operations that a member has announced. */
  announced(group: number, index: number): number {
    return this.#groups[group] + index * this.#memberWords;
  }

  /** Operations in which a member has done its part. */
  done(group: number, index: number): number {
    return this.announced(group, index) + LINE;
  }

  /** Ring steps that a member has done, over all its operations. */
  step(group: number, index: number): number {
    return this.announced(group, index) + 2 * LINE;
  }

  /** Number of peers that are parked on a word of this member. */
  parked(group: number, index: number): number {
    return this.announced(group, index) + 3 * LINE;
  }

  /** First cell of a member's descriptor of an operation. */
  descriptor(group: number, index: number, sequence: number): number {
    return this.announced(group, index) + 4 * LINE + (sequence & (this.ringSlots - 1)) * DESCRIPTOR_WORDS;
  }

  /** Messages announced on the channel `from -> to`; the word after it: the sender is parked. */
  tail(group: number, from: number, to: number): number {
    const size = this.topology.groups[group].ranks.length;
    return this.#groups[group] + size * this.#memberWords + (from * size + to) * this.#channelWords;
  }

  /** Messages released on the channel `from -> to`; the word after it: the receiver is parked. */
  head(group: number, from: number, to: number): number {
    return this.tail(group, from, to) + LINE;
  }

  /** First cell of a channel's descriptor of a message. */
  message(group: number, from: number, to: number, sequence: number): number {
    return this.tail(group, from, to) + 2 * LINE + (sequence & (this.channelSlots - 1)) * DESCRIPTOR_WORDS;
  }

  get #memberWords(): number {
    return 4 * LINE + lines(this.ringSlots * DESCRIPTOR_WORDS);
  }

  get #channelWords(): number {
    return 2 * LINE + lines(this.channelSlots * DESCRIPTOR_WORDS);
  }
}

/** The words of a world, with the layout that names them: what every agent attaches to. */
export class ControlBlock {
  /** Operations on the words. */
  readonly words: Words;
  /** Where they lie. */
  readonly layout: ControlLayout;

  /** Joins words and a layout; the launcher and the ranks use `initialize` and `attach`. */
  constructor(words: Words, layout: ControlLayout) {
    this.words = words;
    this.layout = layout;
  }

  /** Bytes of the block of a world. */
  static byteLength(topology: Topology, options?: LayoutOptions): number {
    return new ControlLayout(topology, options).numWords * 4;
  }

  /** Makes the block of a world; all its words are zero. The launcher does so, once. */
  static initialize(topology: Topology, options?: LayoutOptions): SharedArrayBuffer {
    return new SharedArrayBuffer(ControlBlock.byteLength(topology, options));
  }

  /**
   * Opens a block that the launcher made; every agent calls this with the same topology.
   *
   * @throws {RangeError} If the buffer is not that of the topology.
   */
  static attach(buffer: SharedArrayBuffer, topology: Topology, options?: LayoutOptions): ControlBlock {
    const layout = new ControlLayout(topology, options);
    if (buffer.byteLength !== layout.numWords * 4) {
      throw new RangeError(
        `Cannot attach to a control block of ${buffer.byteLength} bytes: ` +
          `this topology needs ${layout.numWords * 4}`,
      );
    }
    return new ControlBlock(new AtomicsWords(buffer), layout);
  }

  /** Asks every rank to stop after the current step (Ctrl-C). */
  requestStop(): void {
    this.words.store(this.layout.stop, 1);
  }

  /** Whether somebody asked to stop after the current step. */
  get isStopRequested(): boolean {
    return this.words.load(this.layout.stop) !== 0;
  }

  /** Writes text as UTF-8 into plain cells, cut to `maxBytes`; returns its bytes. A word must order it. */
  writeText(index: number, text: string, maxBytes: number): number {
    let bytes = new TextEncoder().encode(text);
    if (bytes.length > maxBytes) {
      bytes = bytes.subarray(0, maxBytes);
    }
    for (let i = 0; i < bytes.length; i += 4) {
      this.words.set(
        index + (i >> 2),
        bytes[i] | bytes[i + 1] << 8 | bytes[i + 2] << 16 | bytes[i + 3] << 24,
      );
    }
    return bytes.length;
  }

  /** Reads what {@link writeText} wrote. */
  readText(index: number, byteLength: number): string {
    const bytes = new Uint8Array(byteLength);
    for (let i = 0; i < byteLength; i++) bytes[i] = this.words.get(index + (i >> 2)) >>> (8 * (i & 3));
    return new TextDecoder().decode(bytes);
  }
}

/** Most bytes of an error text. */
export const MAX_ERROR_BYTES = ERROR_TEXT_WORDS * 4;
/** Most bytes of a label. */
export const MAX_LABEL_BYTES = (LABEL_WORDS - 1) * 4;

function lines(words: number): number {
  return Math.ceil(words / LINE) * LINE;
}

function checkTopology({ worldSize, groups }: Topology): void {
  if (!Number.isInteger(worldSize) || worldSize < 1) {
    throw new RangeError(`Cannot make a world of ${worldSize} ranks: it needs at least 1`);
  }
  const seen = new Set<string>();
  for (const { name, ranks } of groups) {
    if (ranks.length === 0) throw new RangeError(`Cannot make the group ${name}: it has no ranks`);
    for (const rank of ranks) {
      if (!Number.isInteger(rank) || rank < 0 || rank >= worldSize) {
        throw new RangeError(
          `Cannot put rank ${rank} in group ${name}: the world has ranks 0..${worldSize - 1}`,
        );
      }
      const key = `${name}/${rank}`;
      if (seen.has(key)) throw new RangeError(`Cannot put rank ${rank} twice into groups named ${name}`);
      seen.add(key);
    }
  }
}
