/** The user asked for something that cannot be done; the message is one line: what, why, what to do. */
export class UsageError extends Error {
  /** Tells it from other errors. */
  override name = "UsageError";
}

/** What went wrong with a file, in words: `it does not exist`. */
export function fileProblem(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "it may not be accessed";
  }
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.NotADirectory) return "a part of its path is not a directory";
  return error instanceof Error ? error.message.split("\n")[0] : String(error);
}

/** Runs what refuses values by `RangeError` and `SyntaxError`, where these values are the user's input. */
export function asUsageError<Result>(run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw error instanceof RangeError || error instanceof SyntaxError ? new UsageError(error.message) : error;
  }
}
