import { within } from "./deadline.ts";

/** Runs `fn` with a new folder, which is removed afterwards; fails if that takes longer than a minute. */
export async function withTempDir<Result>(fn: (folder: string) => Promise<Result> | Result): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "tessera_" });
  try {
    return await within(Promise.resolve(fn(folder)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
