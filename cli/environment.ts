/** A variable of the environment; undefined also if it may not be read, as nobody is asked. */
export function environment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

/**
 * Goes to the folder from which a task was called, so that relative paths mean what they mean there.
 *
 * `deno task` runs in the folder of `deno.json`, and says in INIT_CWD where it was called. npm sets the variable, too: it
 * counts only in the folder where tasks run.
 */
export function enterUserFolder(root: URL = new URL("../", import.meta.url)): void {
  const folder = environment("INIT_CWD");
  if (folder === undefined || root.protocol !== "file:") return;
  try {
    if (Deno.realPathSync(root) === Deno.realPathSync(Deno.cwd())) Deno.chdir(folder);
  } catch {
    // It is gone: paths stay relative to where the process is.
  }
}
