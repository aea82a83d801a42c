/**
 * Exact numerics: sums over the rows of a batch whose bits do not depend on how the batch is shared out. See
 * docs/decisions/0002-strategies.md, choice 6.
 */
import { type Backend, rowTree, type Span, type SumTree, unitTree } from "../kernels/mod.ts";
import { GradientArena } from "./gradients.ts";

/** Units that a whole sequence is cut into, where their number divides its tokens: no more ranks can share it. */
export const SEQUENCE_UNITS = 8;

/** What a tape sums over. */
export interface ExactOptions {
  /** Runs the kernels. */
  readonly backend: Backend;
  /** Sequences of the micro-batch that this device works on. */
  readonly sequences: number;
  /** Tokens of each on this device. */
  readonly tokens: number;
  /** Units of each on this device: even, or 1. */
  readonly units: number;
  /** Memory of sums that are not complete yet; tapes of one device share it. */
  readonly arena: GradientArena;
  /**
   * Makes the sums of the units [units, columns] of all rows from those of this device's rows, where it holds a part of
   * them (sequence parallelism).
   */
  readonly gatherUnits?: (own: Span, all: Span, columns: number) => void;
}

/** Sums over rows that a parameter's gradient is made of, unit by unit. */
export interface UnitSums {
  /** Number of units of the rows at hand. */
  readonly units: number;
  /** [units, columns]: to be filled with their sums. */
  readonly sums: Span;
  /** Adds them up and to the gradient; may overwrite them. */
  readonly fold: (gradient: Span) => void;
}

/** The trees of one tape. */
export class ExactSums {
  readonly #options: ExactOptions;
  readonly #trees = new Map<string, SumTree>();

  /** Builds nothing yet. */
  constructor(options: ExactOptions) {
    this.#options = options;
  }

  /**
   * The tree of a sum over all rows of the micro-batch.
   *
   * @throws {RangeError} If it is not clear which rows belong to which sequence.
   */
  rowTree(rows: number): SumTree {
    const { sequences } = this.#options, units = this.#unitsOf(rows / sequences);
    return this.#known(
      `rows ${rows}`,
      () => rowTree({ sequences, units, unitRows: rows / sequences / units }),
    );
  }

  /** The tree of a sum over the slots of experts: `capacity` of them for each unit of the tokens of some devices. */
  slotTree(units: number, capacity: number): SumTree {
    const perSequence = this.#unitsOf(this.#options.tokens), sequences = units / perSequence;
    return this.#known(
      `slots ${units} ${capacity}`,
      () => rowTree({ sequences, units: perSequence, unitRows: capacity }),
    );
  }

  /** Sums of rows with `columns` columns, in memory that is shared with other sums: fill and fold at one time. */
  unitSums(rows: number, columns: number): UnitSums {
    return this.#unitSums(rows, columns, (length) => {
      const span = this.#options.arena.take("sums of units", length);
      this.#options.arena.give(span);
      return span;
    });
  }

  /** The same in memory of their own, which may be filled long before they are folded. */
  keptUnitSums(rows: number, columns: number, allocate: (length: number) => Span): UnitSums {
    return this.#unitSums(rows, columns, allocate);
  }

  /** The same over the slots of experts. */
  slotSums(units: number, columns: number): UnitSums {
    const { arena, backend } = this.#options, perSequence = this.#unitsOf(this.#options.tokens);
    const sums = arena.take("sums of units", units * columns);
    arena.give(sums);
    const tree = this.#unitTree(units / perSequence, perSequence);
    return { units, sums, fold: (out) => backend.foldRows({ cols: columns, x: sums, out, tree }) };
  }

  /** Where the runs of queries that attention sums over begin, by the place of each query in its sequence. */
  queryRuns(positionOf: (index: number) => number): number[] | undefined {
    const { tokens } = this.#options, units = this.#unitsOf(tokens);
    if (units === 1) return undefined;
    return Array.from({ length: units }, (_, unit) => positionOf(unit * tokens / units));
  }

  #unitSums(rows: number, columns: number, allocate: (length: number) => Span): UnitSums {
    const { sequences, tokens, units: perSequence, gatherUnits, backend, arena } = this.#options;
    const whole = sequences * tokens;
    if (gatherUnits === undefined || rows === whole) {
      const own = this.#unitsOf(rows / sequences), units = sequences * own, sums = allocate(units * columns);
      const tree = this.#unitTree(sequences, own);
      return { units, sums, fold: (out) => backend.foldRows({ cols: columns, x: sums, out, tree }) };
    }
    const units = rows / (tokens / perSequence), sums = allocate(units * columns);
    const all = arena.take("sums of all units", sequences * perSequence * columns);
    arena.give(all);
    const tree = this.#unitTree(sequences, perSequence), args = { cols: columns, x: all, tree };
    return {
      units,
      sums,
      fold: (out) => {
        gatherUnits(sums, all, columns);
        backend.foldRows({ ...args, out });
      },
    };
  }

  #unitTree(sequences: number, units: number): SumTree {
    return this.#known(`units ${sequences} ${units}`, () => unitTree({ sequences, units }));
  }

  #unitsOf(rowsPerSequence: number): number {
    if (!Number.isInteger(rowsPerSequence)) {
      throw new RangeError(
        `Cannot sum exactly over ${rowsPerSequence * this.#options.sequences} rows of ` +
          `${this.#options.sequences} sequences: each must have as many`,
      );
    }
    return rowsPerSequence % this.#options.units === 0 ? this.#options.units : 1;
  }

  #known(key: string, make: () => SumTree): SumTree {
    let tree = this.#trees.get(key);
    if (tree === undefined) this.#trees.set(key, tree = make());
    return tree;
  }
}
