import { fileProblem } from "./usage_error.ts";

/** An open file; it closes when it is disposed of. */
export interface OpenFile extends Disposable {
  /** Reads it. */
  readonly file: Deno.FsFile;
  /** Its bytes. */
  readonly size: number;
}

/** Opens a file to be read; `fail` is told why it cannot be. */
export async function openFile(path: string, fail: (problem: string) => never): Promise<OpenFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    return fail(fileProblem(error));
  }
  const { size, isDirectory } = await file.stat();
  if (!isDirectory) return { file, size, [Symbol.dispose]: () => file.close() };
  file.close();
  return fail("it is a directory");
}
