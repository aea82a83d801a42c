/**
 * The tests of whole folders in one process of the test runner: a file of its own loads the library again, for half a
 * second, and starts workers of its own, for two. Every file can still be run alone.
 */
const TESTS = new URL("../", import.meta.url);

/**
 * Folders of `tests/`, and files there, by the group that runs them; `task test` names the groups in an order that keeps
 * two processes busy to the end.
 */
export const GROUPS = {
  equivalence: ["equivalence"],
  train: ["train", "strategies", "data", "tokenizers", "files", "adapters", "checkpoint", "export", "serve"],
  commands: ["cli", "bench", "tools", "cli_test.ts", "examples_test.ts"],
  kernels: ["kernels", "nn", "models"],
  worlds: ["actors", "collectives", "complaints"],
} as const;

/** Folders with a task of their own. */
export const APART = ["interleavings", "llama_cpp", "stress", "transformers", "vocabularies", "webgpu"];

/** Registers the tests of a group. */
export async function register(group: keyof typeof GROUPS): Promise<void> {
  for (const path of GROUPS[group]) {
    const names = path.endsWith(".ts") ? [path] : testsOf(path);
    for (const name of names) await import(new URL(name, TESTS).href);
  }
}

/** Test files of a folder and of the folders in it, in order. */
export function testsOf(folder: string): string[] {
  const entries = [...Deno.readDirSync(new URL(`${folder}/`, TESTS))];
  return entries.sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? testsOf(path) : name.endsWith("_test.ts") ? [path] : [];
  });
}
