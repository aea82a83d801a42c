/**
 * Kernels between float32 and bf16: the upper half of a float32, rounded to nearest, ties to even. NaN stays NaN.
 *
 * Addresses and distances of rows are in bytes, sizes in elements. Nothing behind the end of a run is read or written.
 */
import { type FuncRef, type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { unsigned } from "./encode.ts";
import { argument, load, type Place } from "./loads.ts";
import { I32, type I32Local, type Int, int, type V128 } from "./values.ts";
import { storeVectors } from "./walk.ts";

/** Where bf16 and float32 elements lie: memories that the module imports. */
interface Sides {
  readonly from: number;
  readonly to: number;
}

const HERE: Sides = { from: 0, to: 0 };
/** Elements of a turn of the loops. */
const TURN = 8;

/**
 * Adds to a module: `widen(from, to, n)` and `narrow(from, to, n)`; `widenRows | narrowRows(from, fromLd, to, toLd, rows,
 * cols)`; `gatherWiden(ids, table, out, rows, cols)`, whose rows with a negative id are -0; `fillBf16(bits, to, n)`;
 * `copyBytes(from, to, bytes)`; `copyRows`, as `widenRows`, of float32 on both sides.
 */
export function addBf16(module: ModuleBuilder): void {
  const run = parameters("i32", "from", "to", "n");
  const widen = module.func("widen", run, (k, { from, to, n }) => emitWiden(k, { from, to, n }, HERE));
  const narrow = module.func("narrow", run, (k, { from, to, n }) => emitNarrow(k, { from, to, n }));
  addRows(module, "widenRows", widen);
  addRows(module, "narrowRows", narrow);
  addGather(module, widen);
  module.func("fillBf16", parameters("i32", "bits", "to", "n"), (k, { bits, to, n }) => {
    k.for(0, n, 1, () => {
      storeU16(k, to, bits);
      to.set(to.add(2));
    });
  });
  const bytes = parameters("i32", "from", "to", "bytes");
  module.func("copyBytes", bytes, (k, { from, to, bytes }) => k.copy(to, from, bytes));
  const copy = module.func("_copy", run, (k, { from, to, n }) => k.copy(to, from, n.shl(2)));
  addRows(module, "copyRows", copy);
}

/**
 * Adds to a module with two memories, own 0 and peer 1: `widenBf16(own, peer, length)`: own float32 = peer bf16;
 * `addBf16`: own float32 += peer bf16; `narrowBf16`: own bf16 = peer float32; `sumBf16`: own bf16 += peer bf16, and
 * `sumBothBf16`, the same in both memories.
 */
export function addPeerBf16(module: ModuleBuilder): void {
  const own = 0, peer = 1, params = parameters("i32", "own", "peer", "length");
  const toOwn: Sides = { from: peer, to: own };
  module.func("widenBf16", params, (k, { own, peer, length }) => {
    emitWiden(k, { from: peer, to: own, n: length }, toOwn);
  });
  module.func("addBf16", params, (k, { own, peer, length }) => {
    emitWiden(k, { from: peer, to: own, n: length }, toOwn, (sum, x) => sum.add(x));
  });
  module.func("narrowBf16", params, (k, { own, peer, length }) => {
    emitNarrow(k, { from: peer, to: own, n: length }, toOwn);
  });
  for (const [name, toBoth] of [["sumBf16", false], ["sumBothBf16", true]] as const) {
    module.func(name, params, (k, { own, peer, length }) => emitSum(k, { own, peer, length }, toBoth));
  }
}

interface RunLocals {
  readonly from: I32Local;
  readonly to: I32Local;
  readonly n: I32Local;
}

/** Walks in turns of eight, then element by element; moves the pointers by their bytes per element. */
function eachTurn(
  k: Kernel,
  left: I32Local,
  pointers: readonly (readonly [I32Local, number])[],
  body: (isTurn: boolean) => void,
): void {
  const advance = (elements: number) => {
    for (const [pointer, bytes] of pointers) pointer.set(pointer.add(bytes * elements));
    left.set(left.sub(elements));
  };
  k.while(left.geS(TURN), () => {
    body(true);
    advance(TURN);
  });
  k.while(left.gtS(0), () => {
    body(false);
    advance(1);
  });
}

/** `to = from`, or `combine(to, from)`. */
function emitWiden(
  k: Kernel,
  { from, to, n }: RunLocals,
  sides: Sides,
  combine: (before: V128, x: V128) => V128 = (_, x) => x,
): void {
  const place = { memory: sides.to };
  eachTurn(k, n, [[from, 2], [to, 4]], (isTurn) => {
    if (isTurn) {
      const parts = [0, 1].map((i) => {
        const x = load.u16x4(from, { offset: 8 * i, memory: sides.from }).shlI32(16);
        return k.let(combine(load.v128(to, { ...place, offset: 16 * i }), x));
      });
      storeVectors(k, to, parts, place);
      return;
    }
    const x = load.u16(from, { memory: sides.from }).shl(16).splat();
    k.storeLanes(to, combine(load.splat(to, place), x), 1, place);
  });
}

function emitNarrow(k: Kernel, { from, to, n }: RunLocals, sides: Sides = HERE): void {
  eachTurn(k, n, [[from, 4], [to, 2]], (isTurn) => {
    if (isTurn) {
      const parts = [0, 1].map((i) =>
        k.let(roundUp(k, load.v128(from, { offset: 16 * i, memory: sides.from })))
      );
      k.storeV128(to, parts[0].narrowU16(parts[1]), { memory: sides.to });
      return;
    }
    const bits = roundUp(k, load.splat(from, { memory: sides.from }));
    storeU16(k, to, lowLane(bits), { memory: sides.to });
  });
}

function emitSum(
  k: Kernel,
  { own, peer, length }: { own: I32Local; peer: I32Local; length: I32Local },
  toBoth: boolean,
): void {
  const sum = (a: V128, b: V128) => k.let(roundUp(k, a.shlI32(16).add(b.shlI32(16))));
  eachTurn(k, length, [[own, 2], [peer, 2]], (isTurn) => {
    if (isTurn) {
      const parts = [0, 8].map((offset) =>
        sum(load.u16x4(own, { offset }), load.u16x4(peer, { offset, memory: 1 }))
      );
      const result = k.let(parts[0].narrowU16(parts[1]));
      k.storeV128(own, result);
      if (toBoth) k.storeV128(peer, result, { memory: 1 });
      return;
    }
    const bits = lowLane(sum(load.u16(own).splat(), load.u16(peer, { memory: 1 }).splat()));
    const result = k.i32(bits);
    storeU16(k, own, result);
    if (toBoth) storeU16(k, peer, result, { memory: 1 });
  });
}

/** The bf16 bits of float32 lanes, in int32 lanes: `(bits + 0x7fff + lowest kept bit) >> 16`, a quiet NaN of a NaN. */
function roundUp(k: Kernel, value: V128): V128 {
  const x = k.let(value), isNumber = x.eq(x);
  const rounded = x.addI32(k.constantI32(0x7fff)).addI32(x.shrU32(16).and(k.constantI32(1)));
  return isNumber.select(rounded, x.or(k.constantI32(0x400000))).shrU32(16);
}

/** The first int32 lane. */
function lowLane(value: V128): I32 {
  return new I32([...value.code, 0xfd, ...unsigned(27), 0]);
}

function storeU16(k: Kernel, address: I32, value: Int, place: Place = {}): void {
  k.emit([...address.code, ...int(value).code, 0x3b, ...argument(1, place)]);
}

function addRows(module: ModuleBuilder, name: string, run: FuncRef): void {
  const params = parameters("i32", "from", "fromLd", "to", "toLd", "rows", "cols");
  module.func(name, params, (k, { from, fromLd, to, toLd, rows, cols }) => {
    k.for(0, rows, 1, () => {
      k.call(run, [from, to, cols]);
      from.set(from.add(fromLd));
      to.set(to.add(toLd));
    });
  });
}

function addGather(module: ModuleBuilder, widen: FuncRef): void {
  const params = parameters("i32", "ids", "table", "out", "rows", "cols");
  module.func("gatherWiden", params, (k, { ids, table, out, rows, cols }) => {
    k.for(0, rows, 1, () => {
      const id = k.i32(load.i32(ids));
      k.if(id.ltS(0), () => {
        k.for(0, cols, 1, (j) => k.storeF32(out.add(j.shl(2)), -0));
      }, () => {
        k.call(widen, [table.add(id.mul(cols).shl(1)), out, cols]);
      });
      ids.set(ids.add(4));
      out.set(out.add(cols.shl(2)));
    });
  });
}
