/**
 * The comparisons of the suite, each as a section: a table whose rows appear while they are measured.
 *
 * @module
 */
import { ALL_REDUCE_STYLE, compareAllReduce, openAllReduceLineup } from "./collectives/collectives_peers.ts";
import type { Column, Row, Style } from "./comparison.ts";
import { compareGenerate, GENERATE_STYLE, openGenerateLineup } from "./generate/generate_peers.ts";
import { writeGgufOf, writeModel } from "./generate/generate_problem.ts";
import { FORMATS, MODEL_NAME } from "./generate/generate_task.ts";
import { compareMatmul, MATMUL_STYLE, openMatmulLineup } from "./matmul/matmul_peers.ts";
import { closeAll } from "./peer.ts";
import { compareLayouts, SCALING_COLUMNS, SCALING_STYLE, scalingCases } from "./scaling.ts";
import { compareSteps, openStepLineup, STEP_STYLE } from "./step/step_peers.ts";
import { LARGE, LLAMA, SMALL, type StepModel, type StepTask } from "./step/step_task.ts";

/** What can be measured. */
export const BENCHES = ["matmul", "collectives", "step", "generate"] as const;
/** One of {@link BENCHES}. */
export type BenchName = typeof BENCHES[number];

/** A table of a comparison. */
export interface Section {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly style: Style;
  /** A line for each peer that is not here. */
  readonly absent: readonly string[];
  readonly rows: AsyncIterable<Row>;
  /** Unless the rows are of different kinds, ratios are summed up over them. */
  readonly isSummedUp: boolean;
}

/** The sections of a bench; a section must be read to its end before the next is asked for. */
export function sectionsOf(bench: BenchName, { devices }: { devices: number }): AsyncGenerator<Section> {
  switch (bench) {
    case "matmul":
      return matmulSections();
    case "collectives":
      return collectivesSections(devices);
    case "step":
      return stepSections(devices);
    case "generate":
      return generateSections(devices);
  }
}

async function* matmulSections(): AsyncGenerator<Section> {
  const lineup = await openMatmulLineup(), { contestants: columns, absent } = lineup;
  try {
    yield {
      title: "Matmul, one thread",
      columns,
      absent,
      style: MATMUL_STYLE,
      rows: compareMatmul(lineup),
      isSummedUp: true,
    };
  } finally {
    await closeAll(columns);
  }
}

async function* collectivesSections(devices: number): AsyncGenerator<Section> {
  const lineup = await openAllReduceLineup(devices), { contestants: columns, absent } = lineup;
  const cores = navigator.hardwareConcurrency;
  const title = `All-reduce over ${devices} devices${devices > cores ? ` on ${cores} cores` : ""}`;
  const rows = async function* () {
    yield* await compareAllReduce(lineup);
  };
  yield { title, columns, absent, style: ALL_REDUCE_STYLE, rows: rows(), isSummedUp: true };
}

const ROUNDS = 3;
type StepCase = readonly [StepModel, StepTask];
const GPTS: readonly StepCase[] = [
  [SMALL, { warmUps: 3, steps: 12 }],
  [LARGE, { warmUps: 1, steps: 3 }],
];
const LLAMAS: readonly StepCase[] = [[LLAMA, { warmUps: 1, steps: 4 }]];

async function* stepSections(devices: number): AsyncGenerator<Section> {
  yield* peerSteps(`Training step, ${devices} devices`, GPTS, devices);
  yield* peerSteps(`Training step of a Llama, ${devices} devices`, LLAMAS, devices);
  yield {
    ...{ title: "Training step, our layouts", columns: SCALING_COLUMNS, absent: [], style: SCALING_STYLE },
    rows: compareLayouts(scalingCases(SMALL, LARGE), { rounds: ROUNDS }),
    isSummedUp: false,
  };
}

async function* generateSections(devices: number): AsyncGenerator<Section> {
  const folder = await Deno.makeTempDir();
  try {
    await writeModel(folder);
    for (const format of FORMATS) {
      const lineup = await openGenerateLineup({
        folder,
        file: await writeGgufOf(folder, format),
        format,
        devices,
      });
      const { contestants: columns, absent } = lineup;
      try {
        yield {
          ...{ title: `Generation, ${MODEL_NAME}, ${format}, ${devices} devices`, columns, absent },
          ...{ style: GENERATE_STYLE, rows: compareGenerate(lineup, { format }, ROUNDS), isSummedUp: false },
        };
      } finally {
        await closeAll(columns);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Ours and the peers' steps; the contestants end with the last row, so that what follows is measured alone. */
async function* peerSteps(
  title: string,
  cases: readonly StepCase[],
  devices: number,
): AsyncGenerator<Section> {
  const root = await Deno.makeTempDir();
  const open = async (model: StepModel) => {
    const folder = `${root}/${model.embed}`;
    await Deno.mkdir(folder);
    return await openStepLineup(model, { folder, devices });
  };
  let lineup = await open(cases[0][0]);
  const rows = async function* () {
    for (const [i, [model, task]] of cases.entries()) {
      if (i > 0) {
        await closeAll(lineup.contestants);
        lineup = await open(model);
      }
      yield await compareSteps(lineup, model, { task, rounds: ROUNDS });
    }
    await closeAll(lineup.contestants);
  };
  try {
    const { contestants: columns, absent } = lineup;
    yield { title, columns, absent, style: STEP_STYLE, rows: rows(), isSummedUp: cases.length > 1 };
  } finally {
    await closeAll(lineup.contestants);
    await Deno.remove(root, { recursive: true });
  }
}
