/**
 * Builds WebAssembly modules from TypeScript: a kernel is a function that emits statements.
 *
 * ```ts ignore
 * const module = new ModuleBuilder();
 * module.func("scale", { x: "i32", n: "i32", factor: "f32" }, (k, { x, n, factor }) => {
 *   k.vectors(n, (v) => v.store(x, v.load(x).mul(factor.splat())));
 * });
 * const { scale } = module.instantiate([memory]);
 * ```
 */
import { type EncodedFunction, encodeModule, unsigned, type WasmType } from "./encode.ts";
import { argument, type Place } from "./loads.ts";
import {
  type Double,
  double,
  F32,
  type F32Local,
  F64,
  type F64Local,
  type Float,
  float,
  I32,
  type I32Local,
  type Int,
  int,
  ints,
  splat,
  V128,
  type V128Local,
} from "./values.ts";
import { emitTurn, type Vectors, type WalkOptions } from "./walk.ts";

type LocalOf<T extends WasmType> = { i32: I32Local; f32: F32Local; f64: F64Local; v128: V128Local }[T];
/** Parameters of a function, by name. */
export type Params = Record<string, WasmType>;
/** Parameters of a function as its locals. */
export type ParamLocals<P extends Params> = { readonly [name in keyof P]: LocalOf<P[name]> };

/** Exports of an instantiated module: every kernel takes numbers and returns at most one. */
export type Kernels = Record<string, (...args: number[]) => number>;

/** A function of the module under construction, to be called by later ones. */
export interface FuncRef {
  readonly index: number;
  readonly result: WasmType | undefined;
}

/** Parameters of one type, in order: `{ ...parameters("i32", "x", "n"), ...parameters("f32", "factor") }`. */
export function parameters<T extends WasmType, N extends string>(type: T, ...names: N[]): Record<N, T> {
  return Object.fromEntries(names.map((name) => [name, type])) as Record<N, T>;
}

/** A module under construction. */
export class ModuleBuilder {
  readonly #functions: EncodedFunction[] = [];

  /** @param memories Number of shared memories that the module imports: `env.memory0`, ... */
  constructor(readonly memories = 1) {}

  /**
   * Adds a function; names that start with `_` are not exported.
   *
   * @param emit Emits the body; its value, if any, is the result of the function.
   */
  func<P extends Params>(
    name: string,
    params: P,
    emit: (k: Kernel, params: ParamLocals<P>) => I32 | F32 | F64 | void,
  ): FuncRef {
    const types = Object.values(params);
    const k = new Kernel(types.length);
    const locals = Object.fromEntries(Object.keys(params).map((key, i) => [key, k.local(types[i], i)]));
    const result = emit(k, locals as ParamLocals<P>);
    if (result) k.emit(result.code);
    this.#functions.push({
      name,
      params: types,
      results: result ? [result.type] : [],
      locals: k.locals,
      body: [...k.prologue, ...k.body],
    });
    return { index: this.#functions.length - 1, result: result?.type };
  }

  /** The module's bytes. */
  encode(): Uint8Array<ArrayBuffer> {
    return encodeModule(this.memories, this.#functions);
  }

  /** Compiles the module and binds it to the memories. */
  instantiate(memories: readonly WebAssembly.Memory[]): Kernels {
    const env = Object.fromEntries(memories.map((memory, i) => [`memory${i}`, memory]));
    return new WebAssembly.Instance(new WebAssembly.Module(this.encode()), { env }).exports as Kernels;
  }
}

/** The body of one function under construction: locals, statements, control flow. */
export class Kernel {
  readonly locals: WasmType[] = [];
  body: number[] = [];
  /** What runs before the body: constants are bound here. */
  prologue: number[] = [];
  readonly #numParams: number;
  #captured: (readonly number[])[] | undefined;
  readonly #constants = new Map<string, V128>();

  constructor(numParams: number) {
    this.#numParams = numParams;
  }

  /** Appends raw bytes: one statement, or a part of one that has blocks. */
  emit(code: readonly number[]): void {
    if (this.#captured !== undefined) this.#captured.push(code);
    else for (const byte of code) this.body.push(byte);
  }

  /** What `run` emits, statement by statement, to be emitted later; no blocks. */
  capture(run: () => void): (readonly number[])[] {
    const outer = this.#captured, statements: (readonly number[])[] = this.#captured = [];
    run();
    this.#captured = outer;
    return statements;
  }

  /** The local (or parameter) with this index. */
  local<T extends WasmType>(type: T, index: number): LocalOf<T> {
    const code = [0x20, ...unsigned(index)];
    const value = type === "i32"
      ? new I32(code)
      : type === "f32"
      ? new F32(code)
      : type === "f64"
      ? new F64(code)
      : new V128(code);
    const set = (v: Int | Float | Double | V128) => {
      const constant = type === "i32"
        ? int(v as Int)
        : type === "f32"
        ? float(v as Float)
        : type === "f64"
        ? double(v as Double)
        : v as V128;
      this.emit([...constant.code, 0x21, ...unsigned(index)]);
    };
    return Object.assign(value, { set }) as unknown as LocalOf<T>;
  }

  #declare<T extends WasmType>(type: T): LocalOf<T> {
    this.locals.push(type);
    return this.local(type, this.#numParams + this.locals.length - 1);
  }

  /** A new i32 local. */
  i32(init: Int = 0): I32Local {
    const local = this.#declare("i32");
    local.set(init);
    return local;
  }
  /** A new f32 local. */
  f32(init: Float = 0): F32Local {
    const local = this.#declare("f32");
    local.set(init);
    return local;
  }
  /** A new f64 local. */
  f64(init: Double = 0): F64Local {
    const local = this.#declare("f64");
    local.set(init);
    return local;
  }
  /** A new v128 local, zero unless `init` is given. */
  v128(init: V128 = splat(0)): V128Local {
    const local = this.#declare("v128");
    local.set(init);
    return local;
  }
  /** Binds a vector expression so that it is computed once. */
  let(value: V128): V128Local {
    return this.v128(value);
  }

  /** A float32 constant in four lanes, bound once before the body: V8 builds others again on each turn of a loop. */
  constant(value: number): V128 {
    return this.#bind(splat(value));
  }
  /** The same for an int32, or float32 bits. */
  constantI32(value: number): V128 {
    return this.#bind(ints(value, value, value, value));
  }
  #bind(value: V128): V128 {
    const key = value.code.join(), known = this.#constants.get(key);
    if (known !== undefined) return known;
    const local = this.#declare("v128");
    for (const statement of this.capture(() => local.set(value))) this.prologue.push(...statement);
    this.#constants.set(key, local);
    return local;
  }

  /** Stores a value; addresses are bytes. */
  storeI32(address: I32, value: Int, place: Place = {}): void {
    this.emit([...address.code, ...int(value).code, 0x36, ...argument(2, place)]);
  }
  storeF32(address: I32, value: Float, place: Place = {}): void {
    this.emit([...address.code, ...float(value).code, 0x38, ...argument(2, place)]);
  }
  storeF64(address: I32, value: Double, place: Place = {}): void {
    this.emit([...address.code, ...double(value).code, 0x39, ...argument(3, place)]);
  }
  storeV128(address: I32, value: V128, place: Place = {}): void {
    this.emit([...address.code, ...value.code, 0xfd, 11, ...argument(2, place)]);
  }
  /** Stores the first `count` (1, 2 or 3) lanes. */
  storeLanes(address: I32, value: V128, count: number, place: Place = {}): void {
    const low = [0xfd, ...unsigned(count === 1 ? 90 : 91), ...argument(2, place), 0];
    this.emit([...address.code, ...value.code, ...low]);
    if (count < 3) return;
    const third = argument(2, { ...place, offset: (place.offset ?? 0) + 8 });
    this.emit([...address.code, ...value.code, 0xfd, ...unsigned(90), ...third, 2]);
  }

  /** `memory.copy` from one memory to another (or the same). */
  copy(to: I32, from: I32, bytes: Int, memories: { to: number; from: number } = { to: 0, from: 0 }): void {
    this.emit([
      ...to.code,
      ...from.code,
      ...int(bytes).code,
      0xfc,
      10,
      ...unsigned(memories.to),
      ...unsigned(memories.from),
    ]);
  }
  /** Sets bytes to zero. */
  zero(address: I32, bytes: Int): void {
    this.emit([...address.code, 0x41, 0, ...int(bytes).code, 0xfc, 11, 0]);
  }

  /** Calls a function of the module that returns nothing. */
  call(callee: FuncRef, args: readonly (I32 | F32 | F64 | V128)[]): void {
    for (const arg of args) this.emit(arg.code);
    this.emit([0x10, ...unsigned(callee.index)]);
  }

  /** Runs `then` if the condition is not 0, `otherwise` if it is. */
  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.emit([...condition.code, 0x04, 0x40]);
    then();
    if (otherwise) this.emit([0x05]);
    otherwise?.();
    this.emit([0x0b]);
  }

  /** Repeats while the condition, computed before each turn, is not 0. */
  while(condition: I32, body: () => void): void {
    this.emit([0x02, 0x40, 0x03, 0x40, ...condition.code, 0x45, 0x0d, 1]);
    body();
    this.emit([0x0c, 0, 0x0b, 0x0b]);
  }

  /** Runs `body` and repeats it while the condition holds: for hot loops that run at least once. */
  doWhile(body: () => void, condition: () => I32): void {
    this.emit([0x03, 0x40]);
    body();
    this.emit([...condition().code, 0x0d, 0, 0x0b]);
  }

  /** Counts an i32 from `from` up to, not including, `to`. */
  for(from: Int, to: Int, step: Int, body: (i: I32Local) => void): void {
    const i = this.i32(from);
    this.while(i.ltS(to), () => {
      body(i);
      i.set(i.add(step));
    });
  }

  /**
   * Walks `n` float32 elements in vectors of four: `body` is emitted for pairs of vectors (so that V8 can widen
   * them to 256 bits: their stores are adjacent), once for a single vector and once for the last `n mod 4`.
   *
   * Every element goes through the same operations wherever it lies, so results do not depend on `n`.
   */
  vectors(n: I32, body: (v: Vectors) => void, options: WalkOptions = {}): void {
    const i = this.i32(0), end = this.i32(n.shl(2));
    for (const width of options.isLong ? [8, 2, 1] : [2, 1]) {
      this[width > 1 ? "while" : "if"](i.add(16 * width).leU(end), () => {
        emitTurn(this, { i, width, lanes: 4 }, body);
        i.set(i.add(16 * width));
      });
    }
    for (const lanes of [1, 2, 3]) {
      this.if(n.and(3).eq(lanes), () => emitTurn(this, { i, width: 1, lanes }, body));
    }
  }
}
