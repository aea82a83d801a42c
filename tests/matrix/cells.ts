import type { TrainOptions } from "../../mod.ts";
import { SCHEDULES } from "../../strategies/mod.ts";
import { RECOMPUTE, type Recompute } from "../../nn/mod.ts";

/** A layout: degrees of the axes, and settings. */
export interface CellOptions {
  readonly dp: number;
  readonly tp: number;
  readonly pp: number;
  readonly cp: number;
  readonly ep: number;
  readonly zero: number;
  readonly sp: boolean;
  readonly schedule: string;
  readonly recompute: Recompute;
}

/** One point of the composition matrix. */
export interface Cell {
  readonly model: ModelName;
  readonly options: CellOptions;
}

const SIZES = { layers: 6, heads: 4, embed: 16, context: 16 } as const;
const EXPERTS = { experts: 4, topKExperts: 2 } as const;

/**
 * The models of the matrix: as small as four devices with two stages each and tensor groups of four allow. Families have
 * fewer heads of keys than tensor groups have ranks: several hold the same one.
 */
export const MODELS = {
  dense: { model: "gpt2", ...SIZES },
  mixture: { ...SIZES, ...EXPERTS },
  llama: { model: "llama", ...SIZES, kvHeads: 2 },
  qwen3: { model: "qwen3", ...SIZES, kvHeads: 1, headDim: 6 },
  mixtral: { model: "mixtral", ...SIZES, kvHeads: 2, ...EXPERTS },
} satisfies Record<string, TrainOptions>;
/** Key of {@link MODELS}. */
export type ModelName = keyof typeof MODELS;
/** All of them. */
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

/** What all cells have in common. Micro-batches of one sequence, so that pipelines have something to do. */
export const RECIPE = {
  ...{ batch: 8, microBatch: 1, steps: 3, lr: 0.01, warmup: 1, gradClip: 0.5, evalEvery: 0 },
  ...{ numerics: "exact" as const, deviceMemory: "24MiB" },
} as const;

/** Most devices of a cell. */
export const MAX_DEVICES = 8;

/** Every cell: all products of the degrees up to {@link MAX_DEVICES}, and of all settings that mean something. */
export function* allCells(): Generator<Cell> {
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
  for (const model of MODEL_NAMES) {
    for (const [dp, tp, pp, cp, ep] of product(upTo(8), upTo(4), upTo(4), upTo(4), upTo(4))) {
      if (dp * tp * pp * cp * ep > MAX_DEVICES) continue;
      // One stage has one schedule.
      const schedules = pp > 1 ? SCHEDULES : ["1f1b" as const];
      for (const [zero, sp] of product([0, 1, 2, 3], [0, 1])) {
        for (const schedule of schedules) {
          for (const recompute of RECOMPUTE) {
            yield {
              model,
              options: { dp, tp, sp: sp === 1, pp, cp, ep, zero, schedule, recompute },
            };
          }
        }
      }
    }
  }
}

function* product(...lists: readonly (readonly number[])[]): Generator<number[]> {
  if (lists.length === 0) return yield [];
  const [first, ...rest] = lists;
  for (const value of first) for (const others of product(...rest)) yield [value, ...others];
}

/** A cell as a line: `mixture dp 2 x ep 2, zero 1, 1f1b, recompute full`. */
export function nameOf({ model, options }: Cell): string {
  const { sp, zero, schedule, recompute, ...axes } = options;
  const degrees = Object.entries(axes).filter(([, degree]) => degree > 1).map(([axis, degree]) =>
    `${axis} ${degree}`
  );
  const settings = [
    ...(degrees.length === 0 ? ["one device"] : [degrees.join(" x ")]),
    ...(sp ? ["sp"] : []),
    ...(zero > 0 ? [`zero ${zero}`] : []),
    ...(options.pp > 1 ? [schedule] : []),
    ...(recompute === "none" ? [] : [`recompute ${recompute}`]),
  ];
  return `${model}: ${settings.join(", ")}`;
}
