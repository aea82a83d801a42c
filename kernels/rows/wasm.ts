/**
 * Programs of row kernels, and their calls.
 */
import { type Kernels, type ModuleBuilder, parameters } from "../wasm/builder.ts";
import { eachRow } from "../wasm/elementwise.ts";
import type { F32Local, I32Local } from "../wasm/values.ts";
import {
  fieldLength,
  MAX_PARAMETERS,
  numberOf,
  type RowGradientSizes,
  type RowKernel,
  spanOf,
} from "./kernel.ts";
import { ROW_KERNELS } from "./mod.ts";

/**
 * Adds to a module, for every kernel, `NAME(spans, rows, cols, numbers)` in the order of its operands and, if it has
 * targets, `NAMEAdd(...)`, which adds to them. Sums over rows are added to.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addRowKernels(module: ModuleBuilder): void {
  for (const kernel of ROW_KERNELS) {
    addProgram(module, kernel, false);
    if (kernel.hasTargets) addProgram(module, kernel, true);
  }
}

function addProgram(
  module: ModuleBuilder,
  { name, fields, numbers, form }: RowKernel,
  accumulate: boolean,
): void {
  const params = {
    ...parameters("i32", ...fields.map(({ name }) => name), "rows", "cols"),
    ...parameters("f32", ...numbers),
  };
  module.func(accumulate ? `${name}Add` : name, params, (k, locals) => {
    const { rows, cols } = locals as Record<string, I32Local>, rowBytes = k.i32(cols.shl(2));
    const emitRow = form.emit(k, { ...locals as Record<string, I32Local & F32Local>, cols, accumulate });
    const walked = fields.filter(({ shape }) => shape !== "[cols]");
    const steps = walked.map(({ name, shape }) => [locals[name], shape === "[rows]" ? 4 : rowBytes] as const);
    eachRow(k, rows, steps as Parameters<typeof eachRow>[2], emitRow);
  });
}

/** A kernel bound to the memory of a backend. */
interface Call {
  readonly overwrite: Kernels[string];
  readonly add: Kernels[string];
  /** Filled and passed by every call, so that none makes garbage. */
  readonly values: number[];
}

/** Calls of row kernels on the memory of one backend. */
export class RowCalls {
  readonly #kernels: Kernels;
  readonly #calls = new Map<RowKernel, Call>();

  /** @param kernels What {@link addRowKernels} added, and `fill`. */
  constructor(kernels: Kernels) {
    this.#kernels = kernels;
  }

  /**
   * Checks the arguments and runs the kernel, once for each unit.
   *
   * @throws {RangeError} If a span is too short.
   * @throws {TypeError} If nobody has registered the kernel.
   */
  run(kernel: RowKernel, args: RowGradientSizes): void {
    const { overwrite, add, values } = this.#calls.get(kernel) ?? this.#bind(kernel);
    const { cols, units } = args, { fields, numbers } = kernel, program = args.accumulate ? add : overwrite;
    kernel.check(args, values);
    const rows = units === undefined ? args.rows : args.rows / units;
    values[fields.length] = rows;
    values[fields.length + 1] = cols;
    for (let i = 0; i < numbers.length; i++) values[fields.length + 2 + i] = numberOf(args, numbers[i]);
    if (units === undefined) return void callWith(program, values);
    for (const { name, use } of fields) {
      if (use === "sum") this.#kernels.fill(0, spanOf(args, name).byteOffset, units * cols);
    }
    for (let unit = 0; unit < units; unit++) {
      callWith(program, values);
      for (let i = 0; i < fields.length; i++) {
        const { use, shape } = fields[i];
        if (use === "sum" || shape !== "[cols]") values[i] += 4 * fieldLength(shape, rows, cols);
      }
    }
  }

  #bind(kernel: RowKernel): Call {
    const { name } = kernel, { [name]: overwrite, [`${name}Add`]: add } = this.#kernels;
    if (!ROW_KERNELS.includes(kernel)) {
      throw new TypeError(`Cannot run ${name}: backends run the kernels of ROW_KERNELS, add it there`);
    }
    const call = { overwrite, add, values: new Array<number>(MAX_PARAMETERS).fill(0) };
    this.#calls.set(kernel, call);
    return call;
  }
}

/** Passes {@link MAX_PARAMETERS} numbers, as a spread takes longer than a short row; a program leaves out the rest. */
function callWith(program: Kernels[string], v: readonly number[]): void {
  program(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11]);
}
