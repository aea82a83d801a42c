import { AbsentPeer } from "./peer.ts";
import { TextLineStream } from "./text_lines.ts";

/** What a served program offers: the first line sets it up, every further one is a task. */
export type SetUp<Options, Task> = (options: Options) => Promise<(task: Task) => unknown>;

/** Answers the lines of standard input, one by one: the other end of `ServedProcess`. */
export async function serve<Options, Task>(setUp: SetUp<Options, Task>): Promise<void> {
  let answer: ((task: Task) => unknown) | undefined;
  for await (const line of Deno.stdin.readable.pipeThrough(new TextLineStream())) {
    try {
      if (answer === undefined) {
        answer = await setUp(JSON.parse(line));
        console.log("{}");
      } else console.log(JSON.stringify(await answer(JSON.parse(line))));
    } catch (error) {
      console.log(JSON.stringify(describe(error)));
    }
  }
  // A peer's threads would keep the process alive.
  Deno.exit(0);
}

function describe(error: unknown): { absent: [string, string] } | { error: string } {
  if (error instanceof AbsentPeer) return { absent: [error.message, error.remedy] };
  return { error: error instanceof Error ? error.message.split("\n")[0] : String(error) };
}
