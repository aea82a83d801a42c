/**
 * Checkpoints on disk: `OUT/step-N/` after N finished steps, complete or not there at all.
 *
 * A checkpoint is written to `OUT/.tmp-step-N`, synced, and renamed. If `step-N` exists already, it waits as
 * `.old-step-N` while the new one takes its place; {@link prepareOut} puts a run's leftovers in order.
 *
 * @module
 */
import {
  fileProblem,
  readSafetensors,
  type StoredTensor,
  type TensorToWrite,
  UsageError,
  writeSafetensors,
} from "../files/mod.ts";
import { checkTensors } from "./gpt2_files.ts";
import { decodeTrainerState, encodeTrainerState, type TrainerState } from "./trainer_state.ts";

/** What a checkpoint holds. */
export interface CheckpointToWrite {
  /** `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `model.safetensors`. */
  readonly model: readonly TensorToWrite[];
  /** `optimizer.safetensors`: `exp_avg.NAME` and `exp_avg_sq.NAME` of every parameter. */
  readonly optimizer: readonly TensorToWrite[];
  /** `trainer_state.json`; its `step` names the folder. */
  readonly state: TrainerState;
}

/** AdamW's moments of a parameter. */
export interface StoredMoments {
  /** `exp_avg`: the running mean of the gradient. */
  readonly expAvg: Float32Array;
  /** `exp_avg_sq`: the running mean of its square. */
  readonly expAvgSq: Float32Array;
}

const FILES = {
  config: "config.json",
  model: "model.safetensors",
  optimizer: "optimizer.safetensors",
  state: "trainer_state.json",
} as const;

/** Folder of the checkpoint after `step` finished steps. */
export function checkpointPath(out: string, step: number): string {
  return `${out}/step-${step}`;
}

/**
 * Makes the folder `out` ready: creates it, removes half-written checkpoints of a run that was killed, and
 * puts a replaced checkpoint back if its successor did not arrive.
 *
 * @throws {UsageError} If the folder cannot be made or written.
 */
export async function prepareOut(out: string): Promise<void> {
  try {
    await Deno.mkdir(out, { recursive: true });
    const names = (await Array.fromAsync(Deno.readDir(out))).map((entry) => entry.name);
    for (const name of names) {
      if (/^\.tmp-step-\d+$/.test(name)) await Deno.remove(`${out}/${name}`, { recursive: true });
      const replaced = /^\.old-(step-\d+)$/.exec(name)?.[1];
      if (replaced === undefined) continue;
      if (names.includes(replaced)) await Deno.remove(`${out}/${name}`, { recursive: true });
      else await Deno.rename(`${out}/${name}`, `${out}/${replaced}`);
    }
  } catch (error) {
    throw new UsageError(`Cannot write checkpoints to ${out}: ${fileProblem(error)}; choose another --out`);
  }
}

/** Removes a folder that holds nothing. */
export async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await Deno.remove(folder);
  } catch {
    // It holds checkpoints, or is gone.
  }
}

/** Writes a checkpoint and returns its folder; a crash at any moment leaves the former state or the new one. */
export async function writeCheckpoint(out: string, checkpoint: CheckpointToWrite): Promise<string> {
  const name = `step-${checkpoint.state.step}`;
  const target = `${out}/${name}`, temporary = `${out}/.tmp-${name}`, old = `${out}/.old-${name}`;
  await Deno.mkdir(out, { recursive: true });
  await removeIfThere(temporary);
  await removeIfThere(old);
  await Deno.mkdir(temporary);
  try {
    await writeText(`${temporary}/${FILES.config}`, JSON.stringify(checkpoint.config, null, 1) + "\n");
    await writeSafetensors(`${temporary}/${FILES.model}`, checkpoint.model);
    await writeSafetensors(`${temporary}/${FILES.optimizer}`, checkpoint.optimizer);
    await writeText(`${temporary}/${FILES.state}`, encodeTrainerState(checkpoint.state));
    await syncFolder(temporary);
  } catch (error) {
    await removeIfThere(temporary);
    throw error;
  }
  if (await isThere(target)) await Deno.rename(target, old);
  await Deno.rename(temporary, target);
  await syncFolder(out);
  await removeIfThere(old);
  return target;
}

/**
 * The checkpoint that a path means: the folder itself, or the newest `step-N` in it.
 *
 * @throws {UsageError} If there is none.
 */
export async function findCheckpoint(path: string): Promise<string> {
  if (await isThere(`${path}/${FILES.state}`)) return path;
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(path));
  } catch (error) {
    throw new UsageError(`Cannot resume from ${path}: ${fileProblem(error)}`);
  }
  const steps = entries.map((entry) => /^step-(\d+)$/.exec(entry.name)?.[1]).filter((s) => s !== undefined);
  if (steps.length === 0) {
    throw new UsageError(`Cannot resume from ${path}: it has no ${FILES.state} and no checkpoint step-N`);
  }
  return checkpointPath(path, Math.max(...steps.map(Number)));
}

/** Reads `trainer_state.json` of a checkpoint. */
export async function readTrainerState(folder: string): Promise<TrainerState> {
  const path = `${folder}/${FILES.state}`;
  return decodeTrainerState(await readText(path), path);
}

/** Reads and parses `config.json` of a checkpoint. */
export async function readConfigJson(folder: string): Promise<unknown> {
  const path = `${folder}/${FILES.config}`;
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`Cannot read ${path}: it is not JSON`);
  }
}

/** Reads `model.safetensors`; `skip` names tensors that are no parameters. */
export function readModel(
  folder: string,
  skip?: (name: string) => boolean,
): Promise<Map<string, StoredTensor>> {
  return readSafetensors(`${folder}/${FILES.model}`, skip);
}

/**
 * Reads AdamW's moments of every parameter.
 *
 * @param shapes Shapes of the parameters by name.
 * @throws {UsageError} If a moment is missing or has another shape than its parameter.
 */
export async function readMoments(
  folder: string,
  shapes: ReadonlyMap<string, readonly number[]>,
): Promise<Map<string, StoredMoments>> {
  const path = `${folder}/${FILES.optimizer}`;
  const tensors = await readSafetensors(path);
  const expected = new Map([...shapes].flatMap(([name, shape]) => [
    [`exp_avg.${name}`, shape] as const,
    [`exp_avg_sq.${name}`, shape] as const,
  ]));
  checkTensors(tensors, expected, path);
  const dataOf = (name: string) => tensors.get(name)!.data;
  return new Map([...shapes.keys()].map((name) => {
    return [name, { expAvg: dataOf(`exp_avg.${name}`), expAvgSq: dataOf(`exp_avg_sq.${name}`) }];
  }));
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
}

async function writeText(path: string, text: string): Promise<void> {
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let start = 0; start < bytes.length;) start += await file.write(bytes.subarray(start));
    await file.sync();
  } finally {
    file.close();
  }
}

/** Makes names in a folder durable; some systems (Windows) cannot open folders and need no such thing. */
async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path);
    await folder.sync();
  } catch {
    return;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

async function removeIfThere(path: string): Promise<void> {
  if (await isThere(path)) await Deno.remove(path, { recursive: true });
}
