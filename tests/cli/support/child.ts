import { within } from "../../support/deadline.ts";

/** A command line in a process of its own, as the shell starts it. */
export class Child {
  readonly process: Deno.ChildProcess;
  /** What it has printed so far. */
  out = "";
  errors = "";
  readonly #readers: Promise<void>[];
  #isOpen = true;
  #wake: () => void = () => {};

  constructor(
    args: readonly string[],
    options: {
      readonly flags?: readonly string[];
      readonly cwd?: string;
      readonly env?: Record<string, string>;
    } = {},
  ) {
    const cli = new URL("../../../cli.ts", import.meta.url).pathname;
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--no-check", "--no-prompt", ...(options.flags ?? ["-A"]), cli, ...args],
      ...{
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        env: { NO_COLOR: "1", ...options.env },
        cwd: options.cwd,
      },
    }).spawn();
    this.#readers = [
      this.#read(this.process.stdout, (text) => {
        this.out += text;
        return this.#isOpen;
      }),
      this.#read(this.process.stderr, (text) => {
        this.errors += text;
        return true;
      }),
    ];
  }

  /** Waits until it has printed something. */
  async until(pattern: RegExp): Promise<void> {
    const wait = async () => {
      while (!pattern.test(this.out)) await new Promise<void>((resolve) => this.#wake = resolve);
    };
    await within(wait(), { ms: 40_000, describe: () => `${pattern} in ${this.out}${this.errors}` });
  }

  /** Waits until it has ended; its exit code. */
  async end(): Promise<number> {
    const ended = Promise.all([this.process.status, ...this.#readers]);
    try {
      const [{ code }] = await within(ended, { ms: 40_000, describe: () => `${this.out}${this.errors}` });
      return code;
    } catch (error) {
      this.process.kill("SIGKILL");
      await ended;
      throw error;
    }
  }

  /** Stops reading what it prints, as `head` does. */
  closeOutput(): void {
    this.#isOpen = false;
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => boolean): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      const isOpen = take(decoder.decode(bytes, { stream: true }));
      this.#wake();
      if (!isOpen) return;
    }
  }
}
