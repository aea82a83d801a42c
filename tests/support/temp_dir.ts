/** Runs `fn` with a new folder, which is removed afterwards. */
export async function withTempDir<Result>(fn: (folder: string) => Promise<Result> | Result): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "tessera_" });
  try {
    return await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
