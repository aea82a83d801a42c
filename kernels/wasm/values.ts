/**
 * Typed expressions of kernels. An expression is the bytes that leave one value on the stack; using it twice
 * computes it twice, so bind what is used more than once to a local (`k.let(...)`).
 */
import { float32, float64, signed, unsigned, type WasmType } from "./encode.ts";

/** An expression, or a number that stands for a constant of the right type. */
export type Int = I32 | number;
/** A float32 expression or constant. */
export type Float = F32 | number;
/** A float64 expression or constant. */
export type Double = F64 | number;

/** A 32-bit integer expression; also an address in bytes, and a condition (0 is false). */
export class I32 {
  readonly type = "i32" satisfies WasmType;
  constructor(readonly code: readonly number[]) {}
  add(other: Int): I32 {
    return other === 0 ? this : this.#with(other, 0x6a);
  }
  sub(other: Int): I32 {
    return this.#with(other, 0x6b);
  }
  mul(other: Int): I32 {
    return this.#with(other, 0x6c);
  }
  divU(other: Int): I32 {
    return this.#with(other, 0x6e);
  }
  remU(other: Int): I32 {
    return this.#with(other, 0x70);
  }
  and(other: Int): I32 {
    return this.#with(other, 0x71);
  }
  shl(other: Int): I32 {
    return this.#with(other, 0x74);
  }
  shrU(other: Int): I32 {
    return this.#with(other, 0x76);
  }
  eq(other: Int): I32 {
    return this.#with(other, 0x46);
  }
  ne(other: Int): I32 {
    return this.#with(other, 0x47);
  }
  ltS(other: Int): I32 {
    return this.#with(other, 0x48);
  }
  ltU(other: Int): I32 {
    return this.#with(other, 0x49);
  }
  gtS(other: Int): I32 {
    return this.#with(other, 0x4a);
  }
  gtU(other: Int): I32 {
    return this.#with(other, 0x4b);
  }
  leU(other: Int): I32 {
    return this.#with(other, 0x4d);
  }
  geU(other: Int): I32 {
    return this.#with(other, 0x4f);
  }
  geS(other: Int): I32 {
    return this.#with(other, 0x4e);
  }
  /** The smaller of two unsigned numbers; both expressions are computed twice. */
  minU(other: Int): I32 {
    return this.ltU(other).select(this, other);
  }
  /** One of two numbers, both of which are computed: `then` if this is not 0. */
  select(then: Int, otherwise: Int): I32 {
    return new I32([...int(then).code, ...int(otherwise).code, ...this.code, 0x1b]);
  }
  toF32(): F32 {
    return new F32([...this.code, 0xb2]);
  }
  /** All four lanes. */
  splat(): V128 {
    return vector(this, 17);
  }
  #with(other: Int, opcode: number): I32 {
    return new I32([...this.code, ...int(other).code, opcode]);
  }
}

/** A float32 expression. */
export class F32 {
  readonly type = "f32" satisfies WasmType;
  constructor(readonly code: readonly number[]) {}
  add(other: Float): F32 {
    return this.#with(other, 0x92);
  }
  sub(other: Float): F32 {
    return this.#with(other, 0x93);
  }
  mul(other: Float): F32 {
    return this.#with(other, 0x94);
  }
  div(other: Float): F32 {
    return this.#with(other, 0x95);
  }
  max(other: Float): F32 {
    return this.#with(other, 0x97);
  }
  gt(other: Float): I32 {
    return new I32([...this.code, ...float(other).code, 0x5e]);
  }
  sqrt(): F32 {
    return new F32([...this.code, 0x91]);
  }
  toF64(): F64 {
    return new F64([...this.code, 0xbb]);
  }
  /** All four lanes. */
  splat(): V128 {
    return vector(this, 19);
  }
  #with(other: Float, opcode: number): F32 {
    return new F32([...this.code, ...float(other).code, opcode]);
  }
}

/** A float64 expression. */
export class F64 {
  readonly type = "f64" satisfies WasmType;
  constructor(readonly code: readonly number[]) {}
  add(other: Double): F64 {
    return new F64([...this.code, ...double(other).code, 0xa0]);
  }
  mul(other: Double): F64 {
    return new F64([...this.code, ...double(other).code, 0xa2]);
  }
  toF32(): F32 {
    return new F32([...this.code, 0xb6]);
  }
}

/** Four float32 (or int32, or two float64) lanes. */
export class V128 {
  readonly type = "v128" satisfies WasmType;
  constructor(readonly code: readonly number[]) {}
  add(other: V128): V128 {
    return vector2(this, other, 228);
  }
  sub(other: V128): V128 {
    return vector2(this, other, 229);
  }
  mul(other: V128): V128 {
    return vector2(this, other, 230);
  }
  div(other: V128): V128 {
    return vector2(this, other, 231);
  }
  /** NaN if either is NaN. */
  min(other: V128): V128 {
    return vector2(this, other, 232);
  }
  /** NaN if either is NaN. */
  max(other: V128): V128 {
    return vector2(this, other, 233);
  }
  /** `other` where it is smaller, else this: one instruction, and NaN stays if this is NaN. */
  pmin(other: V128): V128 {
    return vector2(this, other, 234);
  }
  /** `other` where it is larger, else this. */
  pmax(other: V128): V128 {
    return vector2(this, other, 235);
  }
  sqrt(): V128 {
    return vector(this, 227);
  }
  abs(): V128 {
    return vector(this, 224);
  }
  neg(): V128 {
    return vector(this, 225);
  }
  /** To the nearest integer, ties to even. */
  nearest(): V128 {
    return vector(this, 106);
  }
  /** `this * factor + addend`, fused (one rounding) where the processor can. */
  madd(factor: V128, addend: V128): V128 {
    return new V128([...this.code, ...factor.code, ...addend.code, 0xfd, ...unsigned(0x105)]);
  }
  /** `addend - this * factor`, fused where the processor can. */
  nmadd(factor: V128, addend: V128): V128 {
    return new V128([...this.code, ...factor.code, ...addend.code, 0xfd, ...unsigned(0x106)]);
  }
  /** Lanes of all ones where `this < other`. */
  lt(other: V128): V128 {
    return vector2(this, other, 67);
  }
  gt(other: V128): V128 {
    return vector2(this, other, 68);
  }
  le(other: V128): V128 {
    return vector2(this, other, 69);
  }
  eq(other: V128): V128 {
    return vector2(this, other, 65);
  }
  and(other: V128): V128 {
    return vector2(this, other, 78);
  }
  or(other: V128): V128 {
    return vector2(this, other, 80);
  }
  xor(other: V128): V128 {
    return vector2(this, other, 81);
  }
  /** Bits of `ones` where this is 1, of `zeros` where it is 0. */
  select(ones: V128, zeros: V128): V128 {
    return new V128([...ones.code, ...zeros.code, ...this.code, 0xfd, ...unsigned(82)]);
  }
  addI32(other: V128): V128 {
    return vector2(this, other, 174);
  }
  subI32(other: V128): V128 {
    return vector2(this, other, 177);
  }
  ltI32(other: V128): V128 {
    return vector2(this, other, 57);
  }
  shlI32(bits: number): V128 {
    return new V128([...this.code, ...int(bits).code, 0xfd, ...unsigned(171)]);
  }
  shrI32(bits: number): V128 {
    return new V128([...this.code, ...int(bits).code, 0xfd, ...unsigned(172)]);
  }
  /** As {@link shrI32}, with zeros from above. */
  shrU32(bits: number): V128 {
    return new V128([...this.code, ...int(bits).code, 0xfd, ...unsigned(173)]);
  }
  /** Eight 16-bit lanes: the int32 lanes of this, then those of `other`, clamped to 0..65535. */
  narrowU16(other: V128): V128 {
    return vector2(this, other, 134);
  }
  /** The same, clamped to -32768..32767. */
  narrowS16(other: V128): V128 {
    return vector2(this, other, 133);
  }
  /** Eight 16-bit lanes of each as bytes, clamped to -128..127. */
  narrowS8(other: V128): V128 {
    return vector2(this, other, 101);
  }
  /**
   * `sum` plus the products of int8 with `other`, bytes from 0 to 127, added in fours to int32 lanes: exact on every machine,
   * as the sum of two products fits 16 bits.
   */
  dotI7(other: V128, sum: V128): V128 {
    return new V128([...this.code, ...other.code, ...sum.code, 0xfd, ...unsigned(0x113)]);
  }
  /** 16-bit lanes, zeros from above. */
  shrU16(bits: number): V128 {
    return new V128([...this.code, ...int(bits).code, 0xfd, ...unsigned(141)]);
  }
  /** float32 lanes to int32, saturating. */
  toI32(): V128 {
    return vector(this, 248);
  }
  /** int32 lanes to float32. */
  fromI32(): V128 {
    return vector(this, 250);
  }
  addF64(other: V128): V128 {
    return vector2(this, other, 240);
  }
  /** `this * factor + addend` in float64 lanes. */
  maddF64(factor: V128, addend: V128): V128 {
    return new V128([...this.code, ...factor.code, ...addend.code, 0xfd, ...unsigned(0x107)]);
  }
  /** The two low float32 lanes as float64. */
  promoteLow(): V128 {
    return vector(this, 95);
  }
  /** Two float64 lanes as the low float32 lanes, zeros above. */
  demote(): V128 {
    return vector(this, 94);
  }
  lane(index: number): F32 {
    return new F32([...this.code, 0xfd, ...unsigned(31), index]);
  }
  laneF64(index: number): F64 {
    return new F64([...this.code, 0xfd, ...unsigned(33), index]);
  }
  /** float32 lanes picked from this (0..3) and `other` (4..7). */
  shuffle(other: V128, lanes: readonly [number, number, number, number]): V128 {
    const bytes = lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]);
    return new V128([...this.code, ...other.code, 0xfd, ...unsigned(13), ...bytes]);
  }
}

/** A local: an expression that reads it, and `set`. */
export interface Settable<E> {
  /** Assigns; a statement. */
  set(value: E): void;
}
/** An i32 local. */
export type I32Local = I32 & Settable<Int>;
/** An f32 local. */
export type F32Local = F32 & Settable<Float>;
/** An f64 local. */
export type F64Local = F64 & Settable<Double>;
/** A v128 local. */
export type V128Local = V128 & Settable<V128>;

/** An i32 constant, or the expression itself. */
export function int(value: Int): I32 {
  return typeof value === "number" ? new I32([0x41, ...signed(value)]) : value;
}

/** An f32 constant, or the expression itself. */
export function float(value: Float): F32 {
  return typeof value === "number" ? new F32([0x43, ...float32(value)]) : value;
}

/** An f64 constant, or the expression itself. */
export function double(value: Double): F64 {
  return typeof value === "number" ? new F64([0x44, ...float64(value)]) : value;
}

/** The same float32 constant in four lanes. */
export function splat(value: number): V128 {
  const lane = float32(value);
  return new V128([0xfd, ...unsigned(12), ...lane, ...lane, ...lane, ...lane]);
}

/** Four int32 constants. */
export function ints(a: number, b: number, c: number, d: number): V128 {
  return new V128([0xfd, ...unsigned(12), ...new Uint8Array(new Int32Array([a, b, c, d]).buffer)]);
}

function vector(value: { code: readonly number[] }, opcode: number): V128 {
  return new V128([...value.code, 0xfd, ...unsigned(opcode)]);
}

function vector2(a: V128, b: V128, opcode: number): V128 {
  return new V128([...a.code, ...b.code, 0xfd, ...unsigned(opcode)]);
}
