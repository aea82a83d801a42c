/** Who wrote a cell last and who has read it since, as entries of vector clocks. Never changed in place. */
interface Accesses {
  writer: number;
  writeTime: number;
  reads: readonly number[];
}

type Clock = readonly number[];

const PAYLOAD = 2 ** 32, RANK = 2 ** 20;

/** Number of a payload cell; smaller numbers are words and plain cells of the control block. */
export function payloadCell(rank: number, cell: number): number {
  return PAYLOAD + rank * RANK + cell;
}

/**
 * Memory of a scenario: words, plain cells beside them, payload of all ranks, and the vector clocks that order
 * accesses. A load orders what its agent does next after all that the writer of the value had done before.
 *
 * Places get dense numbers when they are first used, and a hash of everything is kept up to date, because the
 * explorer copies and compares memories a hundred thousand times.
 *
 * Source: vector clocks as in Flanagan and Freund, FastTrack, PLDI 2009, without its shortcuts.
 */
export class Memory {
  /** The first data race, in words. */
  race: string | undefined;
  /** Two hashes of values, clocks and accesses. */
  hashA = 0;
  hashB = 0;
  #places: Map<number, number>;
  #values: number[] = [];
  #clocksOf: (Clock | undefined)[] = [];
  #accesses: (Accesses | undefined)[] = [];
  readonly #clocks: Clock[];

  constructor(readonly numAgents: number, places = new Map<number, number>()) {
    this.#places = places;
    this.#clocks = Array.from(
      { length: numAgents },
      (_, i) => Array.from({ length: numAgents }, (_, j) => +(i === j)),
    );
  }

  /** A copy. */
  clone(): Memory {
    const copy = new Memory(this.numAgents, this.#places);
    copy.race = this.race;
    copy.hashA = this.hashA;
    copy.hashB = this.hashB;
    copy.#values = this.#values.slice();
    copy.#clocksOf = this.#clocksOf.slice();
    copy.#accesses = this.#accesses.slice();
    this.#clocks.forEach((clock, i) => copy.#clocks[i] = clock);
    return copy;
  }

  /** A sequentially consistent load. */
  load(agent: number, word: number): number {
    const place = this.#place(word);
    const clock = this.#clocksOf[place];
    if (clock !== undefined) {
      this.#advance(
        agent,
        this.#clocks[agent].map((time, i) => Math.max(time, clock[i])),
      );
    }
    return this.#values[place] ?? 0;
  }

  /** A sequentially consistent store. */
  store(agent: number, word: number, value: number): void {
    const place = this.#place(word), clock = this.#clocks[agent];
    this.#toggle(place);
    this.#values[place] = value;
    this.#clocksOf[place] = clock;
    this.#toggle(place);
    this.#advance(agent, clock.map((time, i) => i === agent ? time + 1 : time));
  }

  /** A plain read of a cell. */
  read(agent: number, cell: number): number {
    const place = this.#place(cell), clock = this.#clocks[agent];
    const { writer, writeTime, reads } = this.#accessesOf(place);
    if (writer >= 0 && writeTime > clock[writer]) this.#report(agent, "reads", writer, "wrote", cell);
    if (reads[agent] !== clock[agent]) {
      this.#toggle(place);
      this.#accesses[place] = {
        writer,
        writeTime,
        reads: reads.map((time, i) => i === agent ? clock[agent] : time),
      };
      this.#toggle(place);
    }
    return this.#values[place] ?? 0;
  }

  /** A plain write of a cell. */
  write(agent: number, cell: number, value: number): void {
    const place = this.#place(cell), clock = this.#clocks[agent];
    const { writer, writeTime, reads } = this.#accessesOf(place);
    if (writer >= 0 && writeTime > clock[writer]) this.#report(agent, "writes", writer, "wrote", cell);
    reads.forEach((time, other) => {
      if (time > clock[other]) this.#report(agent, "writes", other, "read", cell);
    });
    this.#toggle(place);
    this.#values[place] = value;
    this.#accesses[place] = { writer: agent, writeTime: clock[agent], reads: reads.map(() => 0) };
    this.#toggle(place);
  }

  /** What a payload cell holds, without an access. */
  peek(rank: number, cell: number): number {
    return this.#values[this.#place(payloadCell(rank, cell))] ?? 0;
  }

  #place(cell: number): number {
    let place = this.#places.get(cell);
    if (place === undefined) this.#places.set(cell, place = this.#places.size);
    return place;
  }

  #advance(agent: number, clock: Clock): void {
    this.#toggleClock(agent);
    this.#clocks[agent] = clock;
    this.#toggleClock(agent);
  }

  /** Takes a place out of the hashes, or puts it in. */
  #toggle(place: number): void {
    let a = mix(place + 1, this.#values[place] ?? 0);
    for (const time of this.#clocksOf[place] ?? []) a = mix(a, time);
    const accesses = this.#accesses[place];
    if (accesses !== undefined) {
      a = mix(mix(a, accesses.writer), accesses.writeTime);
      for (const time of accesses.reads) a = mix(a, time);
    }
    this.hashA ^= a;
    this.hashB ^= mix(a, place);
  }

  #toggleClock(agent: number): void {
    let a = -1 - agent;
    for (const time of this.#clocks[agent]) a = mix(a, time);
    this.hashA ^= a;
    this.hashB ^= mix(a, agent);
  }

  #accessesOf(place: number): Accesses {
    return this.#accesses[place] ?? { writer: -1, writeTime: 0, reads: Array(this.numAgents).fill(0) };
  }

  #report(agent: number, does: string, other: number, did: string, cell: number): void {
    const name = cell < PAYLOAD
      ? `descriptor cell ${cell}`
      : `payload cell ${cell % RANK} of rank ${Math.floor((cell - PAYLOAD) / RANK)}`;
    this.race ??=
      `data race: agent ${agent} ${does} ${name}, which agent ${other} ${did}, and no word is in between`;
  }
}

/** Mixes a number into a 32-bit hash. */
export function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ (value | 0) ^ ((value * 1024) | 0) << 7, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return Math.imul(h ^ (h >>> 13), 0xc2b2ae35) ^ (h >>> 16);
}
