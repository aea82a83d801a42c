import { fileProblem, UsageError, writeAllSync } from "../files/mod.ts";
import { encodeRecord, type MetricsRecord } from "../train/mod.ts";

/** Where a log begins. */
export interface LogStart {
  /** Finished steps of the run that goes on: what the log says of them is kept. Undefined for a new run. */
  readonly resumedStep?: number;
  /** Whether a new run may replace the log of another one. */
  readonly overwrite?: boolean;
}

/** Writes records to a file, one JSON line each, as they come. */
export class MetricsLog {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #isNew: boolean;
  readonly #kept: string | undefined;
  readonly #encoder = new TextEncoder();
  #failure: string | undefined;

  /**
   * Opens the file; nothing of it is lost before {@link begin}.
   *
   * @throws {UsageError} If the file cannot be written, or holds the log of another run.
   */
  constructor(path: string, { resumedStep, overwrite = false }: LogStart = {}) {
    this.#path = path;
    try {
      const before = readRegular(path);
      this.#isNew = before === undefined;
      if (resumedStep !== undefined) this.#kept = keptLines(before ?? "", resumedStep, path);
      else if (before && !overwrite) {
        throw new UsageError(
          `Cannot write the log ${path}: it has records of another run; choose another --log, or replace it with --overwrite`,
        );
      } else this.#kept = before === undefined ? undefined : "";
      if (this.#kept === before) this.#kept = undefined;
      this.#file = Deno.openSync(path, { write: true, create: true, append: true });
    } catch (error) {
      if (error instanceof UsageError) throw error;
      const isFolderMissing = error instanceof Deno.errors.NotFound;
      throw new UsageError(
        `Cannot write the log ${path}: ${
          isFolderMissing ? "its folder does not exist" : fileProblem(error)
        }; ` +
          `choose another --log`,
      );
    }
  }

  /** Takes out what the run will write anew. */
  begin(): void {
    if (this.#kept === undefined) return;
    this.#file.truncateSync(0);
    if (this.#kept !== "") this.#append(this.#kept);
  }

  /** The run did not begin: a file that was made for it is removed. */
  discard(): void {
    if (!this.#isNew) return;
    try {
      Deno.removeSync(this.#path);
    } catch {
      // No regular file, or gone.
    }
  }

  /**
   * Writes a record. A log that cannot be written (a full disk) must not end a run: the first failure is told, and
   * nothing is written any more.
   *
   * @returns What went wrong, once.
   */
  write(record: MetricsRecord): string | undefined {
    if (this.#failure !== undefined) return undefined;
    try {
      this.#append(`${encodeRecord(record)}\n`);
      return undefined;
    } catch (error) {
      this.#failure = `Cannot write the log ${this.#path}: ${fileProblem(error)}; the run goes on without it`;
      return this.#failure;
    }
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  /** Closes the file at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #append(text: string): void {
    writeAllSync(this.#file, this.#encoder.encode(text));
  }
}

/** What is in a file; undefined if there is none, or it is a device or a pipe. */
function readRegular(path: string): string | undefined {
  try {
    if (!Deno.statSync(path).isFile) {
      return Deno.statSync(path).isDirectory ? Deno.readTextFileSync(path) : undefined;
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return Deno.readTextFileSync(path);
}

/** The lines about steps that are finished when a run goes on after `step`; a run that goes on is not done. */
function keptLines(text: string, step: number, path: string): string {
  const lines = text.split("\n"), kept: string[] = [];
  lines.forEach((line, i) => {
    const record = parseRecord(line);
    // Cut short by a crash.
    if (record === undefined && i === lines.length - 1) return;
    if (record === undefined) {
      throw new UsageError(
        `Cannot go on with the log ${path}: line ${i + 1} is no record of a run; choose another --log`,
      );
    }
    const isFinished = record.type === "step"
      ? record.step < step
      : record.type === "eval" && record.step <= step;
    if (isFinished) kept.push(`${line}\n`);
  });
  return kept.join("");
}

function parseRecord(line: string): MetricsRecord | undefined {
  try {
    const record = JSON.parse(line);
    return ["step", "eval", "done"].includes(record?.type) ? record : undefined;
  } catch {
    return undefined;
  }
}
