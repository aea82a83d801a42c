/**
 * Golden runs: models that an independent implementation trained in float64. Every layout must reproduce them within what
 * float32 arithmetic allows: losses near 5 carry an error of about 1e-6, gradients relative ones of about 1e-6 of the
 * largest element of their tensor.
 */
import { assert, assertEquals } from "@std/assert";
import { openMoments } from "../../checkpoint/mod.ts";
import { type LoadedTensor, readSafetensors, readTensors } from "../../files/mod.ts";
import { prepareTraining, startTraining, type StepRecord, type TrainOptions } from "../../train/mod.ts";
import { pool } from "./pool.ts";
import { withTempDir } from "./temp_dir.ts";

const LOSS_BOUND = 5e-6, NORM_BOUND = 1e-5, GRADIENT_BOUND = 1e-5, WEIGHT_BOUND = 1e-4;

interface Expected {
  recipe: Record<"batch" | "steps" | "warmup" | "lr" | "min_lr" | "weight_decay" | "grad_clip", number>;
  losses: number[];
  grad_norms: number[];
  lrs: number[];
}

/** Options that change how a run is spread over devices, and none of its numbers. */
export type GoldenLayout = Pick<
  TrainOptions,
  "dp" | "cp" | "ep" | "tp" | "sp" | "pp" | "zero" | "microBatch" | "schedule" | "partition" | "recompute"
>;

/** Where a golden run lies in the checkout, and what of its tensors is compared. */
export interface GoldenFolders {
  /** Folder of the initial model; by default `init` beside the expected numbers. */
  readonly init?: string;
  /** The tokens; by default `tokens.bin` there. */
  readonly data?: string;
  /** Trains the adapter in `adapter_init` there to that in `adapter_final`; by default the model to that in `final`. */
  readonly isAdapter?: boolean;
  /** What is compared of a tensor; by default all. */
  compared?(name: string, values: Float32Array): Float32Array;
}

interface GoldenSteps {
  readonly steps: readonly StepRecord[];
  /** Step-0 gradients, from the first moment after one step. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly final: ReadonlyMap<string, LoadedTensor>;
}

/** A golden run that layouts are checked against. */
export class GoldenRun {
  readonly #folder: string;
  readonly #expected: Expected;
  readonly #compared: NonNullable<GoldenFolders["compared"]>;
  /** The file of weights in a checkpoint, and the folder of those that it must end with. */
  readonly #weights: { readonly file: string; readonly final: string };
  /** The options that make the run. */
  readonly options: TrainOptions;

  /** @param folder Of the expected numbers. */
  constructor(folder: string, expected: Expected, { init, data, isAdapter, compared }: GoldenFolders) {
    const { recipe } = expected;
    this.#weights = isAdapter
      ? { file: "adapter_model.safetensors", final: "adapter_final" }
      : { file: "model.safetensors", final: "final" };
    this.#folder = folder;
    this.#expected = expected;
    this.#compared = compared ?? ((_, values) => values);
    this.options = {
      ...{
        data: data ?? `${folder}tokens.bin`,
        init: init ?? `${folder}init`,
        order: "sequential",
        evalEvery: 0,
      },
      ...(isAdapter && { adapter: `${folder}adapter_init` }),
      ...{ batch: recipe.batch, steps: recipe.steps, warmup: recipe.warmup, lr: recipe.lr },
      ...{ minLr: recipe.min_lr, weightDecay: recipe.weight_decay, gradClip: recipe.grad_clip },
    };
  }

  /** Trains on a layout and compares losses, norms, rates, the gradients of the first step and the final weights. */
  async check(layout: GoldenLayout): Promise<void> {
    const { steps, gradients, final } = await this.#run(layout);
    this.#compareSteps(steps);
    await this.#compareTensors(gradients, final);
  }

  /** Trains on a layout and compares losses, norms and rates. */
  async checkSteps(layout: GoldenLayout): Promise<void> {
    const records: StepRecord[] = [];
    for await (
      const step of await startTraining(await prepareTraining({ ...this.options, pool, ...layout }))
    ) records.push(step);
    this.#compareSteps(records);
  }

  #compareSteps(steps: readonly StepRecord[]): void {
    const { losses, grad_norms: norms, lrs } = this.#expected;
    assertEquals(steps.length, losses.length);
    for (const [i, { loss, gradNorm, lr }] of steps.entries()) {
      const lossError = Math.abs(loss - losses[i]), normError = Math.abs(gradNorm / norms[i] - 1);
      assert(lossError <= LOSS_BOUND, `loss of step ${i} is off by ${lossError}`);
      assert(normError <= NORM_BOUND, `gradient norm of step ${i} is off by ${normError} (relative)`);
      assert(Math.abs(lr - lrs[i]) < 1e-12, `learning rate of step ${i} is ${lr}, not ${lrs[i]}`);
    }
  }

  async #compareTensors(
    gradients: GoldenSteps["gradients"],
    final: GoldenSteps["final"],
  ): Promise<void> {
    for (const [name, { data }] of await readSafetensors(`${this.#folder}grads_step0.safetensors`)) {
      const largest = data.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const error = this.#difference(name, gradients.get(name)!, data);
      assert(
        error <= GRADIENT_BOUND * largest,
        `gradient of ${name} is off by ${error}, its largest is ${largest}`,
      );
    }
    for (
      const [name, { data }] of await readSafetensors(
        `${this.#folder}${this.#weights.final}/${this.#weights.file}`,
      )
    ) {
      const error = this.#difference(name, final.get(name)!.data, data);
      assert(error <= WEIGHT_BOUND, `final ${name} is off by ${error}`);
    }
  }

  #difference(name: string, a: Float32Array, b: Float32Array): number {
    const [left, right] = [a, b].map((values) => this.#compared(name, values));
    return left.reduce((max, value, i) => Math.max(max, Math.abs(value - right[i])), 0);
  }

  async #run(layout: GoldenLayout): Promise<GoldenSteps> {
    const { steps, warmup, grad_clip: gradClip } = this.#expected.recipe;
    return await withTempDir(async (folder) => {
      const train = async (steps: number) => {
        const out = `${folder}/${steps}`, records: StepRecord[] = [];
        // The gradients of the first step do not depend on its learning rate.
        const rates = { warmup: Math.min(warmup, steps - 1), steps };
        const prepared = await prepareTraining({ ...this.options, ...rates, out, pool, ...layout });
        for await (const step of await startTraining(prepared)) records.push(step);
        return { records, checkpoint: `${out}/step-${steps}` };
      };
      const first = await train(1), all = await train(steps);
      const final = await readSafetensors(`${all.checkpoint}/${this.#weights.file}`);
      const parameterOf = (name: string) => name.replace(/^base_model\.model\./, "");
      const shapes = new Map([...final].map(([name, { shape }]) => [parameterOf(name), shape]));
      const clip = Math.min(1, gradClip / (first.records[0].gradNorm + 1e-6));
      const { m } = await openMoments(first.checkpoint, shapes);
      const gradients = new Map(
        [...readTensors(m)].map(([name, values]) => [name, values.map((m) => m / (0.1 * clip))]),
      );
      return { steps: all.records, gradients, final };
    });
  }
}

/** Reads the golden run of that name in `tests/golden`. */
export async function goldenRun(name: string, folders: GoldenFolders = {}): Promise<GoldenRun> {
  const folder = new URL(`../golden/${name}/`, import.meta.url).pathname;
  return new GoldenRun(folder, JSON.parse(await Deno.readTextFile(`${folder}expected.json`)), folders);
}

/** What most models are checked with: every strategy, and some of them together. */
export const GOLDEN_LAYOUTS: readonly GoldenLayout[] = [
  { dp: 1 },
  { dp: 2 },
  { dp: 1, tp: 2 },
  { dp: 1, tp: 4, sp: true },
  { dp: 1, pp: 2, microBatch: 2 },
  { dp: 1, pp: 2, microBatch: 2, schedule: "zero-bubble" },
  { dp: 1, cp: 2 },
  { dp: 2, zero: 3 },
  { dp: 2, tp: 2, pp: 2, microBatch: 2 },
];

/** A test for each layout that `check` passes on it. */
export function testLayouts(
  what: string,
  layouts: readonly GoldenLayout[],
  check: (layout: GoldenLayout) => Promise<void>,
): void {
  for (const layout of layouts) {
    Deno.test(`train() reproduces the golden ${what} with ${nameOf(layout)}`, () => check(layout));
  }
}

/** Options by their text in messages. */
export function nameOf(options: TrainOptions): string {
  return Object.entries(options).map(([key, value]) => `${key} ${value}`).join(", ");
}
