/**
 * Checkpoints on disk: `OUT/step-N/` after N finished steps, complete or not there at all.
 *
 * A checkpoint is written to `OUT/.tmp-step-N`, synced, and renamed. If `step-N` exists already, it waits as
 * `.old-step-N` while the new one takes its place; {@link prepareOut} puts a run's leftovers in order.
 *
 * @module
 */
import {
  checkTensors,
  createModel,
  createSafetensors,
  divideModel,
  fileProblem,
  layOutModel,
  layOutTensors,
  openSafetensors,
  readJson,
  readText,
  type TensorIndex,
  UsageError,
  writeAll,
} from "../files/mod.ts";
import { ADAPTER_FILES } from "../adapters/mod.ts";
import { type Companions, readCompanions } from "./companions.ts";
import { decodeTrainerState, encodeTrainerState, type TrainerState } from "./trainer_state.ts";

/** Shapes of parameters by name, in the order of the file. */
export type NamedShapes = ReadonlyMap<string, readonly number[]>;

/** The tensors of a checkpoint: plain data. */
export interface SavedTensors {
  /** Parameters: all of the model, or those of its adapters. */
  readonly weights: NamedShapes;
  /** Those of them that are trained, and have moments. */
  readonly trained: NamedShapes;
  /** Bytes of weights that a file has at most; all are in one without it. */
  readonly shardBytes?: number;
  /** Of adapters, which are a directory of PEFT's: the names of parameters there, and its configuration. */
  readonly adapter?: {
    readonly names: ReadonlyMap<string, string>;
    readonly json: Readonly<Record<string, unknown>>;
  };
}

/** What a checkpoint holds besides the values of its tensors. */
export interface CheckpointToWrite {
  /** `config.json`, of a whole model. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What it holds. */
  readonly tensors: SavedTensors;
  /** `trainer_state.json`; its `step` names the folder. */
  readonly state: TrainerState;
  /** Files that go with the model. */
  readonly companions?: Companions;
}

/** Where the tensors of a checkpoint lie. */
export interface CheckpointTensors {
  /** Parameters, in `model.safetensors` or its shards. */
  readonly weights: TensorIndex;
  /** AdamW's running means of the gradients: `exp_avg.NAME` of `optimizer.safetensors`, here by `NAME`. */
  readonly m: TensorIndex;
  /** Running means of their squares: `exp_avg_sq.NAME`. */
  readonly v: TensorIndex;
}

const FILES = {
  config: "config.json",
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

/** Steps of the checkpoints in a folder, in order. */
export async function listSteps(out: string): Promise<number[]> {
  const entries = await Array.fromAsync(Deno.readDir(out));
  const steps = entries.map(({ name }) => /^step-(\d+)$/.exec(name)?.[1]).filter((step) =>
    step !== undefined
  );
  return steps.map(Number).sort((a, b) => a - b);
}

/** Folder in which the checkpoint after `step` steps is written. */
function temporaryPath(out: string, step: number): string {
  return `${out}/.tmp-step-${step}`;
}

/**
 * Begins a checkpoint: everything is written but the values of its tensors, for which there is room.
 *
 * Then its ranks write them to {@link tensorsToWrite}, and {@link completeCheckpoint} moves it to its place. A crash at
 * any moment leaves the former state or the new one.
 */
export async function beginCheckpoint(
  out: string,
  { config, tensors, state, companions }: CheckpointToWrite,
): Promise<void> {
  const temporary = temporaryPath(out, state.step), form = formOf(tensors);
  await Deno.mkdir(out, { recursive: true });
  await removeIfThere(temporary);
  await Deno.mkdir(temporary);
  const json = tensors.adapter?.json ?? config;
  await writeText(`${temporary}/${form.config}`, JSON.stringify(json, null, 1) + "\n");
  await createModel(temporary, form.parts);
  await createSafetensors(`${temporary}/${FILES.optimizer}`, momentShapes(tensors.trained));
  await writeText(`${temporary}/${FILES.state}`, encodeTrainerState(state));
  if (companions === undefined) return;
  for await (const [name, bytes] of readCompanions(companions)) {
    await writeBytes(`${temporary}/${name}`, bytes);
  }
}

/** Where the tensors of a checkpoint that has begun are to be written; any rank can tell. */
export function tensorsToWrite(out: string, step: number, tensors: SavedTensors): CheckpointTensors {
  const folder = temporaryPath(out, step), form = formOf(tensors);
  const moments = layOutTensors(`${folder}/${FILES.optimizer}`, momentShapes(tensors.trained)).index;
  const stored = layOutModel(folder, form.parts);
  const weights = new Map([...tensors.weights.keys()].map((name) => [name, stored.get(form.nameOf(name))!]));
  return { weights, ...splitMoments(moments, tensors.trained) };
}

/** Files of a checkpoint: those of a model, or of PEFT. */
function formOf({ weights, adapter, shardBytes }: SavedTensors) {
  const nameOf = (name: string) => adapter?.names.get(name) ?? name;
  const shapes = [...weights].map(([name, shape]) => [nameOf(name), shape] as const);
  return {
    config: adapter === undefined ? FILES.config : ADAPTER_FILES.config,
    parts: adapter === undefined
      ? divideModel(shapes, shardBytes)
      : [{ name: ADAPTER_FILES.weights, shapes }],
    nameOf,
  };
}

/** Syncs a checkpoint whose tensors are written and moves it to its place; returns its folder. */
export async function completeCheckpoint(out: string, step: number): Promise<string> {
  const temporary = temporaryPath(out, step),
    target = checkpointPath(out, step),
    old = `${out}/.old-step-${step}`;
  const files = (await Array.fromAsync(Deno.readDir(temporary))).map(({ name }) => name);
  for (const name of files) if (name.endsWith(".safetensors")) await syncFile(`${temporary}/${name}`);
  await syncFolder(temporary);
  await removeIfThere(old);
  if (await isThere(target)) await Deno.rename(target, old);
  await Deno.rename(temporary, target);
  await syncFolder(out);
  await removeIfThere(old);
  return target;
}

/** Removes a checkpoint that could not be completed. */
export async function discardCheckpoint(out: string, step: number): Promise<void> {
  await removeIfThere(temporaryPath(out, step));
}

/** Reads `trainer_state.json` of a checkpoint. */
export async function readTrainerState(folder: string): Promise<TrainerState> {
  const path = `${folder}/${FILES.state}`;
  return decodeTrainerState(await readText(path), path);
}

/** Reads and parses `config.json` of a checkpoint. */
export function readConfigJson(folder: string): Promise<unknown> {
  return readJson(`${folder}/${FILES.config}`);
}

/**
 * Says where AdamW's moments of every parameter lie.
 *
 * @throws {UsageError} If a moment is missing or has another shape than its parameter.
 */
export async function openMoments(
  folder: string,
  shapes: NamedShapes,
): Promise<Pick<CheckpointTensors, "m" | "v">> {
  const path = `${folder}/${FILES.optimizer}`, tensors = await openSafetensors(path);
  checkTensors(tensors, new Map(momentShapes(shapes)), path);
  return splitMoments(tensors, shapes);
}

/** All first moments, then all second ones. */
function momentShapes(shapes: NamedShapes): [name: string, shape: readonly number[]][] {
  return ["exp_avg", "exp_avg_sq"].flatMap((moment) => {
    return [...shapes].map(([name, shape]): [string, readonly number[]] => [`${moment}.${name}`, shape]);
  });
}

function splitMoments(tensors: TensorIndex, shapes: NamedShapes): Pick<CheckpointTensors, "m" | "v"> {
  const of = (moment: string) =>
    new Map([...shapes.keys()].map((name) => [name, tensors.get(`${moment}.${name}`)!]));
  return { m: of("exp_avg"), v: of("exp_avg_sq") };
}

async function writeText(path: string, text: string): Promise<void> {
  await writeBytes(path, new TextEncoder().encode(text));
}

async function writeBytes(path: string, bytes: Uint8Array): Promise<void> {
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  try {
    await writeAll(file, bytes);
    await file.sync();
  } finally {
    file.close();
  }
}

async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.sync();
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
