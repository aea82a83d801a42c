import { DeviceError, launch, type LaunchOptions, type World } from "../../../actors/mod.ts";
import type { StatusReport } from "../../../collectives/mod.ts";
import { within as withinDeadline } from "../../support/deadline.ts";
import type { Act } from "./acts.ts";

/** A wait in a test that is longer than this is a failure of the test. */
const DEADLINE_MS = 8000;

/** Starts a world of which rank i does `acts[i]`. */
export function start(
  acts: readonly Act[],
  options: Partial<LaunchOptions> & { value?: unknown } = {},
): World {
  const ranks = acts.map((_, rank) => rank), { value, ...rest } = options;
  return launch({
    program: import.meta.resolve("./acts.ts"),
    config: { acts, value },
    topology: { worldSize: acts.length, groups: [{ name: "all", ranks }] },
    deviceMemoryBytes: 1 << 20,
    ...rest,
  });
}

/** Awaits a promise; a test that would hang fails instead, with what every rank waits for. */
export async function within<Result>(promise: Promise<Result>, world?: World): Promise<Result> {
  try {
    return await withinDeadline(promise, {
      ms: DEADLINE_MS,
      describe: () => JSON.stringify(world?.status()),
    });
  } catch (error) {
    world?.status().forEach((_, rank) => world.terminate(rank));
    throw error;
  }
}

/** Resolves when a rank's status is as wanted. */
export async function until(
  world: World,
  rank: number,
  test: (status: StatusReport) => boolean,
): Promise<void> {
  const start = performance.now();
  while (!test(world.status()[rank])) {
    if (performance.now() - start > DEADLINE_MS) throw new Error(JSON.stringify(world.status()));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** How a world ended. */
export interface Failure {
  readonly error: DeviceError;
  /** From when a rank was last seen at its work until all was over. */
  readonly ms: number;
}

/** Awaits the failure of a world; `since` ends when the failing act begins. */
export async function failureOf(world: World, since: Promise<void> = Promise.resolve()): Promise<Failure> {
  const done = world.done.then(() => undefined, (error) => error);
  await Promise.race([since, done]);
  const start = performance.now();
  const error = await within(done, world);
  if (!(error instanceof DeviceError)) throw new Error(`the world should have failed, but: ${error}`);
  return { error, ms: performance.now() - start };
}
