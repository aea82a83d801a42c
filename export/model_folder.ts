import { type Companions, readCompanions } from "../checkpoint/mod.ts";
import {
  createModel,
  divideModel,
  fileProblem,
  layOutModel,
  TensorWriter,
  UsageError,
} from "../files/mod.ts";
import type { Shape } from "../nn/mod.ts";

/** A model to write. */
export interface ModelToWrite {
  /** `config.json`. */
  readonly json: Readonly<Record<string, unknown>>;
  /** What goes with it. */
  readonly companions: Companions;
  /** Shapes of its parameters by name, in the order of the file. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Values of a parameter; asked once for each, in that order. */
  readonly valuesOf: (name: string) => Float32Array;
  /** Bytes of weights that a file has at most; all are in one without it. */
  readonly shardBytes?: number;
}

/**
 * Writes the directory of a model beside its place, and moves it there when it is whole.
 *
 * @param what The model in words, for messages: "merged model".
 * @throws {UsageError} If the place is taken, or cannot be written.
 */
export async function writeModelFolder(out: string, what: string, model: ModelToWrite): Promise<void> {
  const { json, companions, shapes, valuesOf, shardBytes } = model;
  await inNewFolder(out, what, async (folder) => {
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(json, null, 1) + "\n");
    for await (const [name, bytes] of readCompanions(companions)) {
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    const parts = divideModel(shapes, shardBytes);
    await createModel(folder, parts);
    const places = layOutModel(folder, parts);
    using writer = new TensorWriter();
    for (const name of shapes.keys()) writer.write(places.get(name)!, 0, valuesOf(name));
  });
}

async function inNewFolder(
  out: string,
  what: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot write the ${what} to ${out}: ${problem}; choose another --out`);
  };
  if (await Deno.stat(out).then(() => true, () => false)) fail("it is there already");
  const folder = `${out}.unfinished`;
  try {
    await Deno.mkdir(folder);
  } catch (error) {
    fail(
      error instanceof Deno.errors.AlreadyExists
        ? `${folder} is there, of a command that did not end`
        : fileProblem(error),
    );
  }
  try {
    await fill(folder);
    await Deno.rename(folder, out);
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
}
