/**
 * Entry of every worker: becomes a device, imports the program and runs it.
 *
 * @module
 */
import { adoptKernels } from "../kernels/mod.ts";
import { Device, type Program } from "./device.ts";
import { connect } from "./mailbox.ts";
import type { LauncherApi, RunOrder, WorkerApi } from "./messages.ts";

/** What this file uses of the worker's global scope. */
interface WorkerScope {
  close(): void;
  Deno?: { exit: (code?: number) => never };
}

const scope = globalThis as unknown as WorkerScope;
const close = scope.close.bind(scope);
let current: { device: Device; rank: number } | undefined;

const api: WorkerApi = {
  async run(order: RunOrder): Promise<unknown> {
    adoptKernels(order.kernels);
    const report = (value: unknown) => launcher.report(order.rank, value) as Promise<void>;
    const device = new Device(order, report, { close: scope.close });
    current = { device, rank: order.rank };
    try {
      const program = await importProgram(order.program);
      const result = await program(device, order.config);
      await device.reported();
      device.finish();
      return result;
    } catch (error) {
      device.fail(describeError(error));
      throw error;
    } finally {
      current = undefined;
    }
  },
};

async function importProgram(url: string): Promise<Program> {
  const { default: program } = await import(url) as { default?: Program };
  if (typeof program === "function") return program;
  throw new TypeError(`Cannot run ${url}: its default export must be a function (device, config) => result`);
}

/** `Error` says nothing that the message does not. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
}

const launcher = connect<LauncherApi>(scope as unknown as Parameters<typeof connect>[0], api);

/** A worker that closes itself tells nobody: say so first, so that the others do not wait for it. */
scope.close = () => {
  if (current !== undefined) {
    current.device.fail("the worker closed itself");
    launcher.exiting(current.rank);
  }
  close();
};
if (scope.Deno !== undefined) {
  scope.Deno.exit = () => {
    scope.close();
    throw new Error("the worker closed itself");
  };
}
