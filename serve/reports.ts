import { launch } from "../actors/mod.ts";
import type { Topology } from "../collectives/mod.ts";
import { Mesh } from "../strategies/mod.ts";
import { EventQueue } from "../train/mod.ts";

/**
 * Runs a program of this folder on devices of its own, by default one, and yields what it reports. Who stops listening ends it.
 *
 * @param program Its module, from this folder.
 * @param job Plain data.
 */
export async function* reportsOf<Report>(
  program: string,
  job: unknown,
  { topology = new Mesh({}).topology(), deviceMemoryBytes }: {
    readonly topology?: Topology;
    readonly deviceMemoryBytes: number;
  },
): AsyncGenerator<Report> {
  const reports = new EventQueue<Report>();
  const world = launch({
    program: new URL(program, import.meta.url).href,
    config: job,
    ...{ topology, deviceMemoryBytes },
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
