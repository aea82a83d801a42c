/**
 * The WebAssembly binary format, as far as kernels need it: sections, LEB128 numbers, memory arguments.
 *
 * Source: WebAssembly Core Specification 3.0, chapter 5 (binary format); multi-memory and relaxed SIMD included.
 */

/** Types of values in kernels. */
export type WasmType = "i32" | "f32" | "f64" | "v128";

const TYPE_CODE: Record<WasmType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** One function of a module, ready to be written. */
export interface EncodedFunction {
  readonly name: string;
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
  readonly locals: readonly WasmType[];
  readonly body: readonly number[];
}

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

/** Signed LEB128 of an int32. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  while (true) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 128);
  }
}

/** The four bytes of a float32. */
export function float32(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}

/** The eight bytes of a float64. */
export function float64(value: number): number[] {
  return [...new Uint8Array(new Float64Array([value]).buffer)];
}

/** Alignment hint, memory index (only written when it is not 0) and offset of a load or store. */
export function memoryArgument(alignLog2: number, offset: number, memory: number): number[] {
  if (memory === 0) return [alignLog2, ...unsigned(offset)];
  return [alignLog2 | 0x40, ...unsigned(memory), ...unsigned(offset)];
}

/**
 * A module that imports `memories` shared memories (`env.memory0`, `env.memory1`, ...) and exports every
 * function of `functions` whose name does not start with an underscore.
 */
export function encodeModule(
  memories: number,
  functions: readonly EncodedFunction[],
): Uint8Array<ArrayBuffer> {
  const types = functions.map((
    f,
  ) => [0x60, ...vector(f.params.map(typeCode)), ...vector(f.results.map(typeCode))]);
  const imports = Array.from({ length: memories }, (_, i) => [
    ...text("env"),
    ...text(`memory${i}`),
    0x02,
    0x03, // shared, with a maximum
    ...unsigned(1),
    ...unsigned(65536),
  ]);
  const exports = functions.flatMap((f, i) =>
    f.name.startsWith("_") ? [] : [[...text(f.name), 0x00, ...unsigned(i)]]
  );
  const bytes = [
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector(functions.map((_, i) => unsigned(i)))),
    ...section(7, vector(exports)),
  ];
  const code = functions.map(encodeBody);
  const codeLength = code.reduce((sum, body) => sum + body.length, unsigned(code.length).length);
  bytes.push(10, ...unsigned(codeLength), ...unsigned(code.length));
  for (const body of code) for (const byte of body) bytes.push(byte);
  return new Uint8Array(bytes);
}

function encodeBody(f: EncodedFunction): number[] {
  const runs: { type: WasmType; count: number }[] = [];
  for (const type of f.locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  const locals = vector(runs.map((run) => [...unsigned(run.count), TYPE_CODE[run.type]]));
  const bytes = [...unsigned(locals.length + f.body.length + 1), ...locals];
  for (const byte of f.body) bytes.push(byte);
  bytes.push(0x0b);
  return bytes;
}

function typeCode(type: WasmType): number[] {
  return [TYPE_CODE[type]];
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function text(value: string): number[] {
  const bytes = [...new TextEncoder().encode(value)];
  return [...unsigned(bytes.length), ...bytes];
}

function section(id: number, body: readonly number[]): number[] {
  return [id, ...unsigned(body.length), ...body];
}
