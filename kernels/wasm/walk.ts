import { load, type Place } from "./loads.ts";
import { type I32, type I32Local, ints, splat, type V128, type V128Local } from "./values.ts";

/** What a walk needs of a kernel under construction. */
export interface Emitter {
  /** A new local. */
  i32(init: I32): I32Local;
  /** Binds an expression. */
  let(value: V128): V128Local;
  /** Appends a statement. */
  emit(code: readonly number[]): void;
  /** What `run` emits, statement by statement, to be emitted later. */
  capture(run: () => void): (readonly number[])[];
  /** Stores four lanes. */
  storeV128(address: I32, value: V128, place: Place): void;
  /** Stores the first lanes. */
  storeLanes(address: I32, value: V128, count: number, place: Place): void;
}

/**
 * Stores vectors one behind the other, the last one first: of a pair whose first vector is stored first V8 keeps that
 * store beside the wide one.
 */
export function storeVectors(
  k: Pick<Emitter, "storeV128">,
  address: I32,
  vectors: readonly V128[],
  { offset = 0, memory }: Place = {},
): void {
  for (let i = vectors.length - 1; i >= 0; i--) {
    k.storeV128(address, vectors[i], { offset: offset + 16 * i, memory });
  }
}

/** How a walk is emitted. */
export interface WalkOptions {
  /**
   * The body is a long chain of operations: four pairs of vectors are worked on in turn, so that none waits for
   * another. No bits change.
   */
  readonly isLong?: boolean;
}

/** One turn of a walk: one vector, a pair or four pairs of them, at byte i. */
export interface Turn {
  readonly i: I32;
  readonly width: number;
  readonly lanes: number;
}

/** Emits `body` for the vectors of a turn, statement by statement, then its stores in the order of their requests. */
export function emitTurn(k: Emitter, { i, width, lanes }: Turn, body: (v: Vectors) => void): void {
  const stores: StoreRequest[] = [];
  // One address node per array: stores of a pair are seen as adjacent only if they share it.
  const addresses = new Map<string, I32Local>();
  const at = (base: I32): I32 => {
    const key = base.code.join(), known = addresses.get(key);
    if (known !== undefined) return known;
    let address: I32Local;
    for (const statement of k.capture(() => address = k.i32(base.add(i)))) heads.push(statement);
    addresses.set(key, address!);
    return address!;
  };
  const heads: (readonly number[])[] = [];
  const parts = Array.from({ length: width }, (_, place) =>
    k.capture(() => {
      const first = stores.length;
      body(
        new Vectors(place, lanes, at, (base, value, memory) => {
          const order = stores.length - first;
          stores.push({ address: at(base), memory, value: k.let(value), offset: 16 * place, order });
        }),
      );
    }));
  for (const statement of heads) k.emit(statement);
  for (let step = 0; step < parts[0].length; step++) for (const part of parts) k.emit(part[step]);
  // The last vector first: see storeVectors.
  stores.sort((a, b) => a.order - b.order || b.offset - a.offset);
  for (const { address, value, memory, offset } of stores) {
    if (lanes === 4) k.storeV128(address, value, { offset, memory });
    else k.storeLanes(address, value, lanes, { offset, memory });
  }
}

interface StoreRequest {
  address: I32;
  value: V128;
  memory: number;
  offset: number;
  order: number;
}

/** One vector of a walk: loads and stores at the walk's place, aware of how many lanes count. */
export class Vectors {
  /** 0 or 1: place in its pair; sums keep one accumulator for each, so that they do not wait for each other. */
  readonly part: number;

  constructor(
    private readonly place: number,
    /** Lanes that hold elements: 4, or fewer at the end. */
    readonly lanes: number,
    private readonly at: (base: I32) => I32,
    private readonly request: (base: I32, value: V128, memory: number) => void,
  ) {
    this.part = place & 1;
  }

  /** The vector of the array at `base`; lanes behind the end are garbage. */
  load(base: I32, memory = 0): V128 {
    return load.v128(this.at(base), { offset: 16 * this.place, memory });
  }

  /** Stores the lanes that count; all stores of a turn happen after all its loads. */
  store(base: I32, value: V128, memory = 0): void {
    this.request(base, value, memory);
  }

  /** `value` where lanes count, the constant `neutral` elsewhere: for sums and maxima. */
  valid(value: V128, neutral = 0): V128 {
    if (this.lanes === 4) return value;
    const mask = ints(
      ...[0, 1, 2, 3].map((lane) => (lane < this.lanes ? -1 : 0)) as [number, number, number, number],
    );
    return mask.select(value, splat(neutral));
  }
}
