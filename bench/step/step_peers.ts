import { FAST_FLAGS } from "../../kernels/mod.ts";
import type { Row, Style } from "../comparison.ts";
import { type Contestant, type Entry, type Lineup, openAll } from "../peer.ts";
import { measureInTurn } from "../rounds.ts";
import { denoCommand, NPM_PERMISSIONS, openServed } from "../served_process.ts";
import { checkLosses, writeProblem } from "./step_problem.ts";
import type { Layout } from "./step_program.ts";
import {
  describeModel,
  RECIPE,
  type StepAnswer,
  type StepModel,
  type StepSetUp,
  type StepTask,
} from "./step_task.ts";
import { torchEntry } from "./torch_peer.ts";

/** A lineup of `bench step --peers`. */
export type StepLineup = Lineup<StepTask, StepAnswer>;

/** How its figures are shown. */
export const STEP_STYLE: Style = {
  what: "model",
  unit: "tokens/s of a float32 step with AdamW",
  show: ({ speed }) => speed < 100 ? speed.toPrecision(3) : String(Math.round(speed)),
};

/** Our training on a layout, with V8's flags or plain. */
export function ourEntry(
  name: string,
  setUp: Pick<StepSetUp, "model" | "recipe">,
  { layout, isFast }: { layout: Layout; isFast: boolean },
): Entry<StepTask, StepAnswer> {
  const v8Flags = isFast ? FAST_FLAGS : undefined;
  const command = denoCommand(name, "./step/step_program.ts", { permissions: ["--allow-read"], v8Flags });
  return { name, open: () => openServed(command, { isOurs: true, setUp: { ...setUp, layout } }) };
}

/** A peer from npm, with its wasm backend. */
function npmEntry(name: string, program: string, setUp: StepSetUp): Entry<StepTask, StepAnswer> {
  const command = denoCommand(name, program, { permissions: NPM_PERMISSIONS });
  // They take many times as long: fewer steps are enough, and the suite is done in minutes.
  const fewer = (steps: number) => Math.ceil(steps / 4);
  return { name, open: async () => goingOn(await openServed(command, { setUp }), fewer) };
}

/** A contestant that trains on in every round, where ours starts again: it is warm after the first. */
function goingOn(
  contestant: Contestant<StepTask, StepAnswer>,
  stepsOf: (steps: number) => number,
): Contestant<StepTask, StepAnswer> {
  let isWarm = false;
  const round = ({ warmUps, steps }: StepTask) => {
    const task = { warmUps: isWarm ? 0 : warmUps, steps: stepsOf(steps) };
    isWarm = true;
    return contestant.round(task);
  };
  return { ...contestant, round };
}

/** DDP, which trains on in every round. */
function ddpEntry(setUp: StepSetUp): Entry<StepTask, StepAnswer> {
  const { name, open } = torchEntry(setUp);
  return { name, open: async () => goingOn(await open(), (steps) => steps) };
}

/** Writes the problem and starts all who take part. */
export async function openStepLineup(
  model: StepModel,
  { folder, devices, hasPeers = true }: { folder: string; devices: number; hasPeers?: boolean },
): Promise<StepLineup> {
  await writeProblem(folder, model, MAX_STEPS);
  const setUp = { model, recipe: RECIPE, devices, folder };
  const ours = [
    ourEntry("fast", setUp, { layout: { dp: devices }, isFast: true }),
    ourEntry("plain", setUp, { layout: { dp: devices }, isFast: false }),
  ];
  // Those from npm have a GPT only.
  const npm = model.model === "llama" ? [] : [
    npmEntry("TensorFlow.js", "./peers/tfjs_step.ts", setUp),
    npmEntry("jax-js", "./peers/jax_step.ts", setUp),
  ];
  const peers = [ddpEntry(setUp), ...npm];
  return await openAll(hasPeers ? [...ours, ...peers] : ours);
}

/** Steps that a contestant makes at most. */
const MAX_STEPS = 500;

/** Measures steps of all contestants in turn, after a round that warms up; their losses must be the same. */
export async function compareSteps(
  { contestants }: StepLineup,
  model: StepModel,
  { task, rounds }: { task: StepTask; rounds: number },
): Promise<Row> {
  const { first, ms } = await measureInTurn(contestants, task, rounds);
  checkLosses(new Map([...first].map(([name, { losses }]) => [name, losses])));
  // Tokens a ms, as tokens/s.
  return { label: describeModel(model), ms, work: model.batch * model.context * 1000 };
}
