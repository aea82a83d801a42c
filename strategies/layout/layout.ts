/**
 * How a run is spread over devices, as a value that prints as the code that makes it:
 * `data(2, pipeline(2, tensor(2)))` is 8 devices, two replicas of a pipeline of two stages of two devices each.
 *
 * From the outside in: data (or zero, or zero inside data), pipeline, expert, context, tensor. The further in, the
 * more two devices talk, and the closer their ranks. `tensor(2, sp)` is tensor parallelism with sequence parallelism.
 */
import { type Axis, type Degrees, Mesh } from "./mesh.ts";

/** What a level of a layout does with the devices inside it, outermost first. */
export const LEVELS = ["data", "zero1", "zero2", "zero3", "pipeline", "expert", "context", "tensor"] as const;
/** One of {@link LEVELS}. */
export type LevelName = typeof LEVELS[number];

/** One level of nesting. */
export interface Level {
  /** What it does. */
  readonly name: LevelName;
  /** Over how many devices, or groups of devices. */
  readonly degree: number;
  /** Of tensor parallelism: sequence parallelism, too. */
  readonly sp?: boolean;
}

/** Stands inside `tensor(2, sp)`: rows between the split layers are spread over the devices, too. */
export const sp = "sp" as const;

/** What the data axis shards. */
export interface ZeroSharding {
  /** 0 nothing, 1 optimizer state, 2 and gradients, 3 and parameters. */
  readonly stage: 0 | 1 | 2 | 3;
  /** Devices that share one replica. */
  readonly shard: number;
  /** Replicas of such groups; `shard x replicate` is the degree of the data axis. */
  readonly replicate: number;
}

/** Nesting goes to greater depth; levels of equal depth exclude each other. */
const DEPTH: Readonly<Record<LevelName, number>> = {
  data: 0,
  zero1: 1,
  zero2: 1,
  zero3: 1,
  pipeline: 2,
  expert: 3,
  context: 4,
  tensor: 5,
};

const AXIS_OF: Readonly<Record<LevelName, Axis>> = {
  data: "dp",
  zero1: "dp",
  zero2: "dp",
  zero3: "dp",
  pipeline: "pp",
  expert: "ep",
  context: "cp",
  tensor: "tp",
};

const ORDER = "data, zero, pipeline, expert, context, tensor, each at most once";

/** Levels of parallelism, outermost first. */
export class Layout {
  /** Levels, outermost first. */
  readonly levels: readonly Level[];

  /**
   * Nests levels; usually written as `data(2, tensor(2))`.
   *
   * @param levels Outermost first.
   * @throws {RangeError} If a degree is not a positive integer, or the levels are not in their order.
   */
  constructor(levels: readonly Level[]) {
    for (const { name, degree, sp = false } of levels) {
      if (!(Number.isInteger(degree) && degree >= 1)) {
        throw new RangeError(`Cannot make ${name}(${degree}): a degree is a whole number from 1`);
      }
      if (!sp || (name === "tensor" && degree > 1)) continue;
      throw new RangeError(`Cannot make ${name}(${degree}, sp): sp needs tensor(2) or more to share rows in`);
    }
    for (const [i, inner] of levels.slice(1).entries()) {
      const outer = levels[i];
      if (DEPTH[outer.name] < DEPTH[inner.name]) continue;
      const what = `${inner.name}(${inner.degree}) inside ${outer.name}(${outer.degree})`;
      throw new RangeError(`Cannot put ${what}: the order from the outside in is ${ORDER}`);
    }
    this.levels = levels;
  }

  /** Number of devices along each axis of the mesh. */
  get degrees(): Degrees {
    const degrees: Record<Axis, number> = { dp: 1, pp: 1, ep: 1, cp: 1, tp: 1 };
    for (const { name, degree } of this.levels) degrees[AXIS_OF[name]] *= degree;
    return degrees;
  }

  /** What the data axis shards. */
  get zero(): ZeroSharding {
    const level = this.levels.find(({ name }) => name.startsWith("zero"));
    const stage = (level === undefined ? 0 : Number(level.name.at(-1))) as ZeroSharding["stage"];
    const shard = level?.degree ?? 1;
    return { stage, shard, replicate: this.degrees.dp / shard };
  }

  /** Sequence parallelism: rows between split layers are spread over the tensor axis. */
  get sp(): boolean {
    return this.levels.some((level) => level.sp);
  }

  /** Number of devices. */
  get size(): number {
    return this.levels.reduce((product, { degree }) => product * degree, 1);
  }

  /** The grid of ranks. */
  mesh(): Mesh {
    return new Mesh(this.degrees);
  }

  /** The code that makes this layout: `data(2, pipeline(2, tensor(2)))`. One device is `data(1)`. */
  toString(): string {
    if (this.levels.length === 0) return "data(1)";
    return this.levels.reduceRight(
      (inner, { name, degree, sp }) => `${name}(${degree}${inner && `, ${inner}`}${sp ? ", sp" : ""})`,
      "",
    );
  }
}

/** Replicas that share the batch and sum their gradients. */
export function data(degree: number, inner?: Layout): Layout {
  return nest("data", degree, inner);
}

/** Data parallel, with the optimizer state sharded over the devices. Inside `data`: shards inside, replicas outside. */
export function zero1(degree: number, inner?: Layout): Layout {
  return nest("zero1", degree, inner);
}

/** As {@link zero1}, with gradients sharded too. */
export function zero2(degree: number, inner?: Layout): Layout {
  return nest("zero2", degree, inner);
}

/** As {@link zero2}, with parameters sharded too (FSDP). */
export function zero3(degree: number, inner?: Layout): Layout {
  return nest("zero3", degree, inner);
}

/** Consecutive layers on each device, or group of devices. */
export function pipeline(degree: number, inner?: Layout): Layout {
  return nest("pipeline", degree, inner);
}

/** Experts of a mixture spread over the devices. */
export function expert(degree: number, inner?: Layout): Layout {
  return nest("expert", degree, inner);
}

/** A part of the sequence on each device. */
export function context(degree: number, inner?: Layout): Layout {
  return nest("context", degree, inner);
}

/** A part of every weight matrix on each device, with `sp` a part of the rows between them, too; innermost. */
export function tensor(degree: number, inner?: Layout | typeof sp): Layout {
  return inner === "sp" ? new Layout([{ name: "tensor", degree, sp: true }]) : nest("tensor", degree, inner);
}

function nest(name: LevelName, degree: number, inner: Layout | undefined): Layout {
  return new Layout([{ name, degree }, ...inner?.levels ?? []]);
}

/**
 * The layout of degrees given one by one, as options are: `--dp 2 --pp 2 --tp 2 --zero 3 --sp`.
 *
 * @param degrees Axes that are left out have degree 1, and levels of degree 1 are left out.
 * @param more Stage of ZeRO over the data axis, and over how many of its devices, by default over all; and whether
 * tensor parallelism is sequence parallelism, too.
 * @throws {RangeError} If a degree is not a positive integer, the data axis is not a multiple of `shard`, or `sp` is
 * asked for without a tensor axis.
 */
export function layoutOf(
  degrees: Partial<Degrees>,
  more: { readonly stage?: ZeroSharding["stage"]; readonly shard?: number; readonly sp?: boolean } = {},
): Layout {
  const { dp, pp, ep, cp, tp } = new Mesh(degrees).degrees, { stage = 0 } = more;
  const shard = stage === 0 ? 1 : more.shard ?? dp;
  if (!Number.isInteger(shard) || shard < 1 || dp % shard !== 0) {
    throw new RangeError(`Cannot shard over ${shard} of ${dp} replicas: dp must be a multiple of it`);
  }
  const levels: Level[] = [
    { name: "data", degree: dp / shard },
    ...(stage === 0 ? [] : [{ name: `zero${stage}` as const, degree: shard }]),
    { name: "pipeline", degree: pp },
    { name: "expert", degree: ep },
    { name: "context", degree: cp },
    { name: "tensor", degree: tp, ...(more.sp ? { sp: true } : {}) },
  ];
  return new Layout(levels.filter(({ degree, sp }) => degree > 1 || sp));
}

/**
 * Reads a layout from its text: `data(2, pipeline(2, tensor(2, sp)))`.
 *
 * @throws {SyntaxError} If the text is not `NAME(DEGREE)`, `NAME(DEGREE, LAYOUT)` or `tensor(DEGREE, sp)`: names the
 * place.
 * @throws {RangeError} If the levels are not in their order.
 */
export function parseLayout(text: string): Layout {
  const levels: Level[] = [];
  const head = /\s*(\w+)\s*\(\s*(\d+)\s*(,\s*sp\s*(?=\)))?/y;
  const fail = (at: number, allowed: string): never => {
    throw new SyntaxError(`Cannot read layout "${text}" from column ${at + 1}: ${allowed}`);
  };
  let at = 0;
  do {
    head.lastIndex = at;
    const match = head.exec(text);
    if (match === null) return fail(at, "a level is NAME(DEGREE), NAME(DEGREE, LEVEL) or tensor(DEGREE, sp)");
    const name = LEVELS.find((level) => level === match[1]);
    if (name === undefined) return fail(at, `"${match[1]}" is no level, known are ${LEVELS.join(", ")}`);
    levels.push({ name, degree: Number(match[2]), ...(match[3] === undefined ? {} : { sp: true }) });
    at = head.lastIndex + 1;
  } while (text[at - 1] === ",");
  const tail = text.slice(at - 1).replace(/\s/g, "");
  if (tail !== ")".repeat(levels.length)) {
    return fail(at - 1, `${levels.length} closing brackets must end it`);
  }
  return new Layout(levels);
}
