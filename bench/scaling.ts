/**
 * Our layouts against each other: what a second device brings, and what exact numerics cost.
 *
 * @module
 */
import type { Row, Style } from "./comparison.ts";
import { closeAll, openAll } from "./peer.ts";
import { measureInTurn } from "./rounds.ts";
import { ourEntry } from "./step/step_peers.ts";
import type { Layout } from "./step/step_program.ts";
import { describeModel, RECIPE, type StepModel, type StepTask } from "./step/step_task.ts";

/** One run of a comparison. */
export interface LayoutRun {
  readonly name: string;
  readonly layout: Layout;
  readonly batch: number;
}

/** Runs on a model, and which of them are compared. */
export interface ScalingCase {
  readonly model: Omit<StepModel, "batch">;
  readonly runs: readonly LayoutRun[];
  /** Names of a run and of what it is compared with. */
  readonly pairs: readonly (readonly [run: string, base: string])[];
  readonly task: StepTask;
}

/** Columns of the table. */
export const SCALING_COLUMNS = [{ name: "layout", isOurs: true }, { name: "base", isOurs: false }];

/** How its figures are shown. */
export const SCALING_STYLE: Style = {
  what: "model: layout over base",
  unit: "tokens/s with the fast flags",
  show: ({ speed }) => String(Math.round(speed)),
};

/** Replicas with as many sequences as one device alone, and the same in exact numerics. */
function replicas(perDevice: number): Pick<ScalingCase, "runs" | "pairs"> {
  const runs: LayoutRun[] = [
    { name: "dp 1", layout: { dp: 1 }, batch: perDevice },
    { name: "dp 2", layout: { dp: 2 }, batch: 2 * perDevice },
    { name: "dp 2 exact", layout: { dp: 2, numerics: "exact" }, batch: 2 * perDevice },
  ];
  return { runs, pairs: [["dp 2", "dp 1"], ["dp 2 exact", "dp 2"]] };
}

/** Micro-batches of the pipeline. */
const M = 8;

/** One device, and two that share out its model: all on the same batch. */
const SPLIT_MODEL: Pick<ScalingCase, "runs" | "pairs"> = {
  runs: [
    { name: "dp 1", layout: { dp: 1 }, batch: M },
    { name: "tp 2", layout: { dp: 1, tp: 2 }, batch: M },
    { name: "pp 2, 1F1B, m = 8", layout: { dp: 1, pp: 2, schedule: "1f1b", microBatch: 1 }, batch: M },
  ],
  pairs: [["tp 2", "dp 1"], ["pp 2, 1F1B, m = 8", "dp 1"]],
};

/** The cases for the two models of the suite. */
export function scalingCases(small: StepModel, large: StepModel): ScalingCase[] {
  return [
    { model: small, ...replicas(small.batch / 2), task: { warmUps: 5, steps: 20 } },
    { model: large, ...replicas(large.batch / 2), task: { warmUps: 1, steps: 4 } },
    { model: large, ...SPLIT_MODEL, task: { warmUps: 1, steps: 2 } },
  ];
}

/** Measures the runs of each case in turn. */
export async function* compareLayouts(
  cases: readonly ScalingCase[],
  { rounds }: { rounds: number },
): AsyncGenerator<Row> {
  for (const { model, runs, pairs, task } of cases) {
    const { contestants } = await openAll(runs.map(({ name, layout, batch }) => {
      const setUp = { model: { ...model, batch }, recipe: RECIPE };
      return ourEntry(name, setUp, { layout, isFast: true });
    }));
    try {
      const { ms } = await measureInTurn(contestants, task, rounds);
      const msPerSequence = new Map(runs.map(({ name, batch }) => [name, ms.get(name)! / batch]));
      for (const [name, base] of pairs) yield pairRow({ model, name, base, msPerSequence, runs });
    } finally {
      await closeAll(contestants);
    }
  }
}

/** A run beside its base; times are of a sequence, for the batches differ. */
function pairRow({ model, name, base, msPerSequence, runs }: {
  model: ScalingCase["model"];
  name: string;
  base: string;
  msPerSequence: ReadonlyMap<string, number>;
  runs: readonly LayoutRun[];
}): Row {
  const batchOf = (name: string) => runs.find((run) => run.name === name)!.batch;
  const batch = batchOf(name), ofBase = batchOf(base) === batch ? "" : ` with batch ${batchOf(base)}`;
  const label = `${describeModel({ ...model, batch })}: ${name} over ${base}${ofBase}`;
  const [own, peer] = SCALING_COLUMNS;
  const ms = new Map([[own.name, msPerSequence.get(name)!], [peer.name, msPerSequence.get(base)!]]);
  return { label, ms, work: model.context * 1000 };
}
