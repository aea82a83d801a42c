/**
 * Standard output and error of the command line: a terminal that is gone or a disk that is full must not end a run
 * that can still be saved.
 *
 * @module
 */
import { now } from "../kernels/mod.ts";
import { fileProblem } from "../files/mod.ts";
import { type StopRequests, stopRequests } from "./signals.ts";

/** A stream that text goes to. */
export interface Sink {
  /** Writes bytes, perhaps not all; throws if it cannot. */
  writeSync(bytes: Uint8Array): number;
}

/** A reader that takes nothing for this long is taken for one that is gone. */
const BUSY_LIMIT_MS = 60_000;

/**
 * A stream that is written until it breaks.
 *
 * When its reader is gone (EPIPE, EIO), that is a request to stop. Any other failure ends a command, except one that
 * has work to save: then the rest of the output is dropped.
 */
export class SafeOutput {
  readonly #sink: Sink;
  readonly #requests: StopRequests;
  readonly #onLost: (reason: string) => void;
  readonly #encoder = new TextEncoder();
  #isBroken = false;

  /** Writes to `sink`; `onLost` hears once why output is dropped. */
  constructor(sink: Sink, requests: StopRequests, onLost: (reason: string) => void = () => {}) {
    this.#sink = sink;
    this.#requests = requests;
    this.#onLost = onLost;
  }

  /** Writes text as it is. */
  write(text: string): void {
    if (this.#isBroken) return;
    try {
      this.#writeAll(this.#encoder.encode(text));
    } catch (error) {
      if (isReaderGone(error)) {
        this.#isBroken = true;
        return this.#requests.request("closed output");
      }
      if (!this.#requests.isHandled) throw error;
      this.#isBroken = true;
      this.#onLost(fileProblem(error));
    }
  }

  #writeAll(bytes: Uint8Array): void {
    let deadlineMs: number | undefined;
    for (let start = 0; start < bytes.length;) {
      try {
        start += this.#sink.writeSync(bytes.subarray(start));
        deadlineMs = undefined;
      } catch (error) {
        // A stream that a Node.js parent has made non-blocking is full for a moment.
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        if (now() > (deadlineMs ??= now() + BUSY_LIMIT_MS)) throw error;
      }
    }
  }
}

function isReaderGone(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || (error as { code?: string }).code === "EIO" ||
    (error instanceof Error && error.message.includes("os error 5)"));
}

const errors = new SafeOutput(Deno.stderr, stopRequests);
const output = new SafeOutput(
  Deno.stdout,
  stopRequests,
  (reason) => errors.write(`Cannot write to standard output: ${reason}; the run goes on without it\n`),
);

/** Writes text to standard output as it is, without a line's end. */
export function writeOut(text: string): void {
  output.write(text);
}

/**
 * Lets everything that the console prints pass through here: Deno's own drops a broken pipe and throws on a full disk.
 */
export function guardConsole(): void {
  const textOf = (parts: readonly unknown[]) =>
    parts.map((part) => typeof part === "string" ? part : Deno.inspect(part)).join(" ") + "\n";
  console.log = (...parts) => output.write(textOf(parts));
  console.error = (...parts) => errors.write(textOf(parts));
}
