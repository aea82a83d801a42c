/**
 * Which directory a path means, and what to say of one that holds no model that can be used.
 *
 * @module
 */
import { isGguf } from "./gguf/mod.ts";
import { ADAPTER_FILES } from "../adapters/mod.ts";
import {
  fileProblem,
  MODEL_FILE,
  MODEL_INDEX,
  openSafetensors,
  openShardedSafetensors,
  readJson,
  type StoredTensor,
  UsageError,
} from "../files/mod.ts";

/** What runs and their checkpoints have. */
const STATE = "trainer_state.json";
/** A directory with one of these is that of a model. */
const MODEL_FILES = ["config.json", STATE, MODEL_FILE, MODEL_INDEX, ADAPTER_FILES.config];

/**
 * The directory of the model that a path means: itself; the newest `step-N` of a run; that of the newest `run-N` which
 * has one; the newest `checkpoint-N` of Hugging Face's Trainer; what `refs/main` names in a folder `models--NAME` of
 * Hugging Face's cache, or its newest snapshot.
 *
 * @param purpose For messages: `use`, `resume from`.
 * @throws {UsageError} If there is none: what is there instead, and what to do.
 */
export async function findModel(path: string, purpose = "use"): Promise<string> {
  const folder = path.replace(/(?<=.)\/+$/, "");
  if (isGguf(folder)) return await checkFile(folder, purpose);
  const names = await listFolder(folder, purpose);
  if (names.some((name) => MODEL_FILES.includes(name))) return folder;
  const files = names.filter(isGguf);
  if (files.length === 1) return `${folder}/${files[0]}`;
  if (files.length > 1) {
    throw new UsageError(
      `Cannot ${purpose} ${path}: it has ${files.sort().join(", ")}; give the path of one of them`,
    );
  }
  const inner = await findRun(folder, names) ?? await findSnapshot(folder, names);
  if (inner !== undefined) return inner;
  const problem = foreignModel(folder, names) ??
    `it has no config.json and no ${MODEL_FILE}, and no checkpoint step-N; give the folder of a model`;
  throw new UsageError(`Cannot ${purpose} ${path}: ${problem}`);
}

async function checkFile(path: string, purpose: string): Promise<string> {
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    throw new UsageError(`Cannot ${purpose} ${path}: ${fileProblem(error)}`);
  }
}

async function listFolder(folder: string, purpose: string): Promise<string[]> {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot ${purpose} ${folder}: ${problem}`);
  };
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) {
      const parent = folder.includes("/") ? folder.slice(0, folder.lastIndexOf("/")) : ".";
      return fail(`it is a file; give the folder that holds it, ${parent === "" ? "/" : parent}`);
    }
    if (!(error instanceof Deno.errors.NotFound)) return fail(fileProblem(error));
    return fail(`it does not exist${purpose === "use" ? "; give a folder, as nothing is downloaded" : ""}`);
  }
}

/** The newest checkpoint of the newest run that has one. */
async function findRun(folder: string, names: readonly string[]): Promise<string | undefined> {
  for (const run of newestFirst(names, "run")) {
    const [step] = newestFirst(await listFolder(`${folder}/${run}`, "use").catch(() => []), "step");
    if (step !== undefined) return `${folder}/${run}/${step}`;
  }
  const [step] = [...newestFirst(names, "step"), ...newestFirst(names, "checkpoint")];
  return step === undefined ? undefined : `${folder}/${step}`;
}

/** Of `step-2`, `step-10` and others the steps, by their numbers. */
function newestFirst(names: readonly string[], kind: string): string[] {
  const numberOf = (name: string) => Number(name.slice(kind.length + 1));
  const isOfKind = (name: string) => new RegExp(`^${kind}-\\d+$`).test(name);
  return names.filter(isOfKind).sort((a, b) => numberOf(b) - numberOf(a));
}

/** In Hugging Face's cache every version of a model is a folder `snapshots/HASH`, and `refs/main` holds one's hash. */
async function findSnapshot(folder: string, names: readonly string[]): Promise<string | undefined> {
  if (!names.includes("snapshots")) return undefined;
  const hashes = await listFolder(`${folder}/snapshots`, "use");
  const main = await Deno.readTextFile(`${folder}/refs/main`).then((text) => text.trim(), () => undefined);
  if (main !== undefined && hashes.includes(main)) return `${folder}/snapshots/${main}`;
  const dated = await Promise.all(hashes.map(async (hash) => {
    const path = `${folder}/snapshots/${hash}`, { mtime } = await Deno.stat(path);
    return { path, time: mtime?.getTime() ?? 0 };
  }));
  return dated.sort((a, b) => b.time - a.time || (a.path < b.path ? -1 : 1)).at(0)?.path;
}

/** Weights of other kinds, with how `from_pretrained` reads them. */
const FOREIGN: readonly (readonly [pattern: RegExp, argument: string])[] = [
  [/^pytorch_model.*\.bin(?:\.index\.json)?$|\.(?:pt|pth|ckpt)$/, ""],
  [/^flax_model.*\.msgpack(?:\.index\.json)?$/, ", from_flax=True"],
  [/^tf_model.*\.h5(?:\.index\.json)?$/, ", from_tf=True"],
];

/** What a folder without weights that can be read has instead, as the end of a message; undefined if nothing is known. */
function foreignModel(folder: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return "the folder is empty";
  const gguf = names.find(isGguf);
  if (gguf !== undefined) return `it has ${gguf}; give the path of that file`;
  // A file of the optimizer is no model.
  const weights = names.filter((name) => !/^(?:optimizer|scheduler|scaler)\.|^rng_state/.test(name)).sort();
  for (const [pattern, argument] of FOREIGN) {
    const name = weights.find((name) => pattern.test(name));
    if (name === undefined) continue;
    return `it has ${name}, supported is ${MODEL_FILE}; convert it with transformers: AutoModelForCausalLM.` +
      `from_pretrained("${folder}"${argument.replace("FILE", name)})` +
      `.save_pretrained("${folder}", safe_serialization=True)`;
  }
  const other = weights.find((name) => name.endsWith(".safetensors") && !name.startsWith("optimizer"));
  if (other === undefined) return undefined;
  if (/-of-\d+\.safetensors$/.test(other)) return `it has ${other}, but no ${MODEL_INDEX}; fetch that, too`;
  return `it has ${other}, expected is ${MODEL_FILE}; rename the file`;
}

/**
 * Says where the tensors of a directory's model lie: those of `model.safetensors`, or of the parts that its index names.
 *
 * @param skip Tells the names of tensors that are no parameters.
 * @throws {UsageError} If there are none that can be read, or they are damaged.
 */
export async function openModel(
  folder: string,
  skip?: (name: string) => boolean,
): Promise<Map<string, StoredTensor>> {
  const names = await listFolder(folder, "use");
  if (names.includes(MODEL_FILE)) return await openSafetensors(`${folder}/${MODEL_FILE}`, skip);
  if (names.includes(MODEL_INDEX)) return await openShardedSafetensors(`${folder}/${MODEL_INDEX}`, skip);
  const problem = foreignModel(folder, names) ?? `it has no ${MODEL_FILE}`;
  throw new UsageError(`Cannot use ${folder}: ${problem}`);
}

/** Whether a directory is that of an adapter, which is no whole model. */
export async function isAdapter(folder: string): Promise<boolean> {
  return !isGguf(folder) && (await listFolder(folder, "use")).includes(ADAPTER_FILES.config);
}

/**
 * Checks that a directory holds a run of this library.
 *
 * @throws {UsageError} If it holds weights only, or is the checkpoint of another trainer.
 */
export async function checkRun(folder: string): Promise<void> {
  const names = await listFolder(folder, "resume from"), advice = `--init ${folder} starts from its weights`;
  const isForeign = names.some((name) => /^(?:optimizer|scheduler)\.pt$|^training_args\.bin$/.test(name)) ||
    (names.includes(STATE) && isForeignState(await readJson(`${folder}/${STATE}`)));
  if (isForeign) {
    throw new UsageError(
      `Cannot resume from ${folder}: it is a checkpoint of another trainer (Hugging Face's); ${advice}`,
    );
  }
  if (names.includes(STATE)) return;
  throw new UsageError(`Cannot resume from ${folder}: it has no ${STATE}, which a run is in; ${advice}`);
}

/** The file has one name there and here; theirs has no format. */
function isForeignState(state: unknown): boolean {
  return typeof state === "object" && state !== null && !("format" in state) &&
    ("global_step" in state || "log_history" in state);
}
