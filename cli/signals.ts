import { now } from "../kernels/mod.ts";
import { isHangupIgnored } from "./hangup.ts";

/** What a command does when it is asked to stop. */
export interface StopHandler {
  /** Ends the work in good order: called once. */
  stop(): void;
  /** Gives the terminal back: called before the process ends at once. */
  restore(): void;
}

/** Who asks to stop. */
export type StopCause = "SIGINT" | "SIGTERM" | "SIGHUP" | "closed output";

/**
 * Signals of one press: `deno task`, npx and `timeout` hand a signal on that the terminal has sent to all of them, so
 * that it arrives two or three times within milliseconds.
 */
const SAME_PRESS_MS = 500;
/** Exit codes as of a shell: ended by SIGINT, ended by SIGPIPE. */
const INTERRUPTED = 130, OUTPUT_CLOSED = 141;

/**
 * Who is told to stop, and when the process ends at once: the one owner of signals.
 *
 * While a command has a handler, the first press tells it to stop, and a second one ends the process. Without a handler
 * the first press ends it. A closed terminal tells the handler to stop, and never is a second press.
 */
export class StopRequests {
  readonly #end: (code: number) => void;
  readonly #clock: () => number;
  #handler: StopHandler | undefined;
  #pressMs = -Infinity;
  #isStopping = false;

  /** Nobody asks yet; tests have an `end` and a clock of their own. */
  constructor(end: (code: number) => void = Deno.exit, clock: () => number = now) {
    this.#end = end;
    this.#clock = clock;
  }

  /** Whether a handler was told to stop. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Whether a command is at work that must not end because of its output. */
  get isHandled(): boolean {
    return this.#handler !== undefined;
  }

  /** Puts a command in charge until the end of a `using` block. */
  handle(handler: StopHandler): Disposable {
    this.#handler = handler;
    return { [Symbol.dispose]: () => this.#handler = undefined };
  }

  /** Takes in that somebody asks to stop. */
  request(cause: StopCause): void {
    const timeMs = this.#clock(), isRepeat = timeMs - this.#pressMs < SAME_PRESS_MS;
    if (cause !== "closed output" && isRepeat) return;
    if (cause !== "closed output") this.#pressMs = timeMs;
    const handler = this.#handler;
    if (handler === undefined) return this.#end(cause === "closed output" ? OUTPUT_CLOSED : INTERRUPTED);
    if (!this.#isStopping) {
      this.#isStopping = true;
      return handler.stop();
    }
    if (cause === "SIGHUP" || cause === "closed output") return;
    handler.restore();
    this.#end(INTERRUPTED);
  }
}

/** Requests to stop this process. */
export const stopRequests: StopRequests = new StopRequests();

/** Takes over the signals of this process. */
export function listenToSignals(requests: StopRequests = stopRequests): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    if (signal === "SIGHUP" && isHangupIgnored()) continue;
    try {
      Deno.addSignalListener(signal, () => requests.request(signal));
    } catch {
      // A system that does not have this signal.
    }
  }
}
