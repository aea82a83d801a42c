/**
 * A device of a training run is killed at every step, in every phase, in every way: the others stop within a second
 * with an error that names the rank, the step, the phase and the first cause.
 *
 * Every (step, phase) of a run of three steps is a case; rank and kind of failure go round. In a world of two, the last
 * step is met with every kind at every phase.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Fault, FAULT_KINDS, launch } from "../../actors/mod.ts";
import { gpt } from "../../models/mod.ts";
import { type PreparedTraining, prepareTraining } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { failureOf, until } from "./support/world.ts";

const STEPS = 3, BOUND_MS = 1000;
const PHASES = ["forward", "backward", "reduce", "update", "exchange", "evaluation", "checkpoint"];
const REASONS: Record<string, string> = {
  throw: "planned failure",
  close: "the worker closed itself",
  hang: "the worker was terminated",
  "out-of-memory":
    "OutOfDeviceMemoryError: Cannot allocate 32.0 MiB of activations for a tensor that is too large",
};

/** A run of a tiny model that evaluates and saves after every step. */
async function prepare(folder: string, dp: number): Promise<PreparedTraining> {
  await Deno.writeTextFile(`${folder}/text.txt`, "the whale and the sea ".repeat(40));
  return await prepareTraining({
    model: gpt({ layers: 1, heads: 1, embed: 8, context: 8 }),
    data: `${folder}/text.txt`,
    mesh: { dp },
    ...{ batch: dp, steps: STEPS, evalEvery: 1, saveEvery: 1, deviceMemory: "8MiB", out: `${folder}/out` },
  });
}

/** Ends one device as planned and checks what the launcher is told. */
async function check({ job, mesh }: PreparedTraining, fault: Fault): Promise<void> {
  const { rank, step, phase, kind } = fault, name = JSON.stringify(fault);
  const program = import.meta.resolve("../../train/step/train_program.ts");
  const { deviceMemoryBytes } = job.config;
  const world = launch({ program, config: job, topology: mesh.topology(), deviceMemoryBytes, fault });
  // A step of phases lasts some microseconds here, so a rank that does not hang may be past it: that costs no time.
  const reached = until(world, rank, (at) => at.step > step || (at.step === step && at.phase === phase));
  const failure = failureOf(world, reached);
  if (kind === "hang") {
    await reached;
    world.terminate(rank);
  }
  const { error, ms } = await failure;
  assertStringIncludes(error.message, `Device ${rank} failed in step ${step} (${phase}): ${REASONS[kind]}`);
  assertEquals([error.rank, error.step, error.phase], [rank, step, phase], name);
  assert(ms < BOUND_MS, `${name}: took ${ms} ms`);
  for (let other = 0; other < mesh.size; other++) {
    if (other === rank || (isAtEnd(fault) && !error.errors.has(other))) continue;
    const thrown = String(error.errors.get(other));
    assertStringIncludes(thrown, `Rank ${rank} failed first: ${REASONS[kind]}`, `${name}, rank ${other}`);
  }
}

/** In the last checkpoint nobody waits for anybody any more: other ranks may have ended well. */
function isAtEnd({ step, phase }: Fault): boolean {
  return step === STEPS && phase === "checkpoint";
}

/** Evaluation and checkpoint follow the exchange that ends a step: they count it as finished. */
function placeOf(step: number, phase: string): number {
  return PHASES.indexOf(phase) > PHASES.indexOf("exchange") ? step + 1 : step;
}

for (const dp of [2, 3]) {
  for (const phase of PHASES) {
    Deno.test(`a device of ${dp} that dies in ${phase}, at any step, stops the others`, () =>
      withTempDir(async (folder) => {
        const prepared = await prepare(folder, dp), turn = PHASES.indexOf(phase);
        const kindsOf = (step: number) =>
          dp === 2 && step === STEPS - 1 ? FAULT_KINDS : [FAULT_KINDS[(step + turn) % FAULT_KINDS.length]];
        for (let step = dp === 2 ? 0 : STEPS - 1; step < STEPS; step++) {
          for (const [i, kind] of kindsOf(step).entries()) {
            await check(prepared, { rank: (step + turn + i) % dp, step: placeOf(step, phase), phase, kind });
          }
        }
      }));
  }
}
