/**
 * A subprocess that answers one JSON line for each JSON line it is sent.
 *
 * Contestants run apart, so that each has its own V8 flags and threads, and a slow moment of the machine hits all
 * of them: they are all alive, and work one at a time.
 *
 * @module
 */
import { TextLineStream } from "./text_lines.ts";
import { AbsentPeer, type Contestant } from "./peer.ts";

/** What is started. */
export interface ServedCommand {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A started subprocess. */
export class ServedProcess {
  readonly #name: string;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #errors: Promise<string>;

  /** Starts it. */
  constructor({ name, command, args, env }: ServedCommand) {
    this.#name = name;
    const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    this.#process = new Deno.Command(command, { args: [...args], env, ...pipes }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = this.#process.stdout.pipeThrough(new TextLineStream()).getReader();
    this.#errors = new Response(this.#process.stderr).text();
  }

  /**
   * Sends a task and waits for its answer.
   *
   * @throws {AbsentPeer} If the process says that what it needs is missing.
   * @throws {Error} If it fails or ends.
   */
  async ask<Answer>(task: unknown): Promise<Answer> {
    try {
      await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(task)}\n`));
    } catch {
      // It has ended: the missing answer below says why.
    }
    for (;;) {
      const { done, value } = await this.#lines.read();
      if (done) throw new Error(`${this.#name} ended without an answer: ${lastLine(await this.#errors)}`);
      // Libraries print notes of their own.
      if (!value.startsWith("{")) continue;
      const answer = JSON.parse(value) as Answer & { error?: string; absent?: [string, string] };
      if (answer.absent !== undefined) throw new AbsentPeer(...answer.absent);
      if (answer.error !== undefined) throw new Error(`${this.#name} failed: ${answer.error}`);
      return answer;
    }
  }

  /** Lets it end. */
  async close(): Promise<void> {
    // A process that has ended already, or was closed before, has no pipe any more.
    await this.#writer.close().catch(() => {});
    await this.#lines.cancel();
    await this.#process.status;
    await this.#errors;
  }
}

/**
 * Starts a process and waits until it says that it is ready.
 *
 * @throws {AbsentPeer} If it says that what it needs is missing.
 */
export async function openServed<Task, Answer>(
  command: ServedCommand,
  { isOurs = false, setUp = {} }: { isOurs?: boolean; setUp?: unknown } = {},
): Promise<Contestant<Task, Answer>> {
  const process = new ServedProcess(command);
  try {
    await process.ask(setUp);
  } catch (error) {
    await process.close();
    throw error;
  }
  return {
    name: command.name,
    isOurs,
    round: (task) => process.ask<Answer>(task),
    close: () => process.close(),
  };
}

/** What a program with a package from npm needs: it reads its own files, and variables that tell it where it runs. */
export const NPM_PERMISSIONS = ["--allow-read", "--allow-env"] as const;

/** A program of this folder under Deno. `permissions` and `v8Flags` are those it needs, and no more. */
export function denoCommand(
  name: string,
  program: string,
  options: { permissions: readonly string[]; v8Flags?: string },
): ServedCommand {
  const flags = options.v8Flags === undefined ? [] : [`--v8-flags=${options.v8Flags}`];
  const args = ["run", "--no-prompt", "--no-lock", "--quiet", ...options.permissions, ...flags];
  return { name, command: Deno.execPath(), args: [...args, new URL(program, import.meta.url).href] };
}

/** The last line that says something. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() || "it printed nothing";
}
