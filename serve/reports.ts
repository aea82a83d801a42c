import { launch, type LaunchOptions } from "../actors/mod.ts";
import { EventQueue } from "../train/mod.ts";

/**
 * Runs a program of this folder on devices of its own, and yields what it reports. Who stops listening ends it.
 *
 * @param program Its module, from this folder.
 * @param job Plain data.
 */
export async function* reportsOf<Report>(
  program: string,
  job: unknown,
  options: Pick<LaunchOptions, "topology" | "deviceMemoryBytes" | "pool">,
): AsyncGenerator<Report> {
  const reports = new EventQueue<Report>();
  const world = launch({
    program: new URL(program, import.meta.url).href,
    config: job,
    ...options,
    onReport: (_rank, report) => reports.push(report as Report),
  });
  world.done.then(() => reports.end(), (error) => reports.fail(error));
  try {
    yield* reports;
  } finally {
    world.terminate(0);
    await world.done.catch(() => {});
  }
}
