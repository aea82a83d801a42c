import { DeviceError } from "../../actors/mod.ts";
import { fileProblem } from "../../files/mod.ts";

/** Does something with a file; what goes wrong is said with its name. */
export async function naming<Result>(path: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Cannot write")) throw error;
    throw new Error(`Cannot write ${path}: ${fileProblem(error)}`, { cause: error });
  }
}

/** An error that says what is left, if it has come while a checkpoint was written; any other one as it is. */
export function withLastCheckpoint(error: unknown, checkpoint: string | undefined): unknown {
  if (!(error instanceof DeviceError) || error.phase !== "checkpoint") return error;
  const left = checkpoint === undefined
    ? "this run has saved no checkpoint before"
    : `the last checkpoint is ${checkpoint}: go on with --resume ${checkpoint}`;
  return Object.assign(error, { message: `${error.message}; ${left}` });
}
