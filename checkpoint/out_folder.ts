/**
 * The folder of a run's checkpoints: one run's at a time, and never one that holds another run's work.
 *
 * @module
 */
import { fileProblem, UsageError } from "../files/mod.ts";
import { formatBytes, numElements } from "../kernels/mod.ts";
import {
  checkpointPath,
  listSteps,
  type NamedShapes,
  prepareOut,
  removeIfEmpty,
  type SavedTensors,
} from "./checkpoint_files.ts";
import { freeBytes } from "./disk_space.ts";
import type { RunStart } from "./run_start.ts";

/** What a run wants of its folder. */
export interface OutRequest {
  /** What it goes on from. */
  readonly start: RunStart;
  /** What a checkpoint will hold. */
  readonly saved?: SavedTensors;
  /** Options on what is there already. */
  readonly config: { readonly init: string | undefined; readonly overwrite: boolean };
}

/** A folder that a run holds; {@link release} gives it back. */
export class OutFolder {
  /** Its path. */
  readonly path: string;
  readonly #lock: Deno.FsFile | undefined;

  private constructor(path: string, lock: Deno.FsFile | undefined) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes the folder, holds it against other runs, and puts in order what is there.
   *
   * @throws {UsageError} If it cannot be written, another run holds it, or it has checkpoints that would mix with
   * this run's.
   */
  static async open(path: string, job: OutRequest): Promise<OutFolder> {
    const folder = new OutFolder(path, await lockFolder(path));
    try {
      checkSpace(path, job.saved);
      await prepareOut(path);
      await makeWay(path, job);
      return folder;
    } catch (error) {
      await folder.release();
      throw error;
    }
  }

  /** Gives the folder back; one that holds nothing is removed, as it would look like a run. */
  async release(): Promise<void> {
    await removeIfEmpty(this.path);
    this.#lock?.close();
  }
}

/**
 * Makes `PARENT/run-N` with the first N behind all that are there, also if others do so at this moment.
 *
 * @throws {UsageError} If it cannot be made.
 */
export async function makeRunFolder(parent: string): Promise<string> {
  try {
    await Deno.mkdir(parent, { recursive: true });
    const numbers = (await Array.fromAsync(Deno.readDir(parent))).map(({ name }) =>
      /^run-(\d+)$/.exec(name)?.[1]
    );
    for (let next = Math.max(0, ...numbers.map((text) => Number(text ?? 0))) + 1;; next++) {
      try {
        await Deno.mkdir(`${parent}/run-${next}`);
        return `${parent}/run-${next}`;
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }
    }
  } catch (error) {
    throw new UsageError(
      `Cannot make a folder for this run in ${parent}: ${fileProblem(error)}; choose another --out`,
    );
  }
}

/** Removes checkpoints but the newest `keep` of those up to `step`. */
export async function removeOld(out: string, { step, keep }: { step: number; keep: number }): Promise<void> {
  const older = (await listSteps(out)).filter((other) => other <= step);
  for (const other of older.slice(0, Math.max(0, older.length - keep))) {
    // In one move: a crash must not leave a part that looks like a checkpoint.
    try {
      await Deno.rename(checkpointPath(out, other), `${out}/.tmp-step-${other}`);
      await Deno.remove(`${out}/.tmp-step-${other}`, { recursive: true });
    } catch {
      // It stays, or the next run removes it: no reason to end this one.
    }
  }
}

/**
 * The lock dies with the process. It is on the folder itself, so that nothing is left behind; where folders cannot be
 * opened (Windows) or locked (some network disks), there is none.
 */
async function lockFolder(out: string): Promise<Deno.FsFile | undefined> {
  try {
    await Deno.mkdir(out, { recursive: true });
  } catch (error) {
    throw new UsageError(`Cannot write checkpoints to ${out}: ${outProblem(error)}; choose another --out`);
  }
  let file: Deno.FsFile | undefined, isFree = true;
  try {
    file = await Deno.open(out);
    isFree = await file.tryLock(true);
  } catch {
    return file;
  }
  if (isFree) return file;
  file.close();
  throw new UsageError(
    `Cannot write checkpoints to ${out}: another run writes there; wait for its end, or choose another --out`,
  );
}

function outProblem(error: unknown): string {
  return error instanceof Deno.errors.AlreadyExists ? "it is a file" : fileProblem(error);
}

/** Bytes of a parameter in a checkpoint, and of the two moments of one that is trained. */
const WEIGHT_BYTES = 4, MOMENT_BYTES = 8;

/**
 * Refuses a disk that has no room for one checkpoint.
 *
 * @param free Bytes of the disk; undefined if nobody may know.
 * @throws {UsageError} Says what is needed and what there is.
 */
export function checkSpace(
  out: string,
  saved: SavedTensors | undefined,
  free: number | undefined = freeBytes(out),
): void {
  const count = (shapes: NamedShapes = new Map()) =>
    [...shapes.values()].reduce((sum, shape) => sum + numElements(shape), 0);
  const needed = WEIGHT_BYTES * count(saved?.weights) + MOMENT_BYTES * count(saved?.trained);
  if (free === undefined || needed <= free) return;
  throw new UsageError(
    `Cannot write checkpoints to ${out}: one needs ${formatBytes(needed)}, its disk has ${
      formatBytes(free)
    } free; ` +
      `make room, or choose another --out`,
  );
}

/** Refuses a folder in which checkpoints of two runs would mix, or removes those that are not this run's. */
async function makeWay(out: string, { start, config }: OutRequest): Promise<void> {
  const steps = await listSteps(out);
  const isOwn = start.folder !== undefined && await isIn(start.folder, out);
  const foreign = isOwn ? steps.filter((step) => step > start.step) : steps;
  if (foreign.length === 0) return;
  if (!config.overwrite) throw new UsageError(refusal(out, { foreign, start, isOwn }));
  for (const path of [config.init, start.folder]) {
    if (path === undefined || (path === start.folder && isOwn)) continue;
    const inside = await Promise.all(foreign.map((step) => isIn(path, checkpointPath(out, step), true)));
    if (!inside.includes(true)) continue;
    throw new UsageError(`Cannot use --overwrite with ${path}: it would be removed; choose another --out`);
  }
  for (const step of foreign) await Deno.remove(checkpointPath(out, step), { recursive: true });
}

function refusal(
  out: string,
  { foreign, start, isOwn }: { foreign: readonly number[]; start: RunStart; isOwn: boolean },
): string {
  const newest = checkpointPath(out, foreign.at(-1)!);
  if (isOwn) {
    return `Cannot go on after step ${start.step} in ${out}: it has newer checkpoints up to ${newest}; resume from that, ` +
      `choose another --out, or remove them with --overwrite`;
  }
  if (start.folder !== undefined) {
    return `Cannot go on with ${start.folder} in ${out}: it has checkpoints of another run, up to ${newest}; ` +
      `choose another --out, or remove them with --overwrite`;
  }
  return `Cannot write checkpoints to ${out}: it has some already, up to ${newest}; go on with --resume ${out}, ` +
    `choose another --out, or remove them with --overwrite`;
}

/** Whether `path` lies directly in `folder`; with `orSame`, also whether it is the folder. */
async function isIn(path: string, folder: string, orSame = false): Promise<boolean> {
  try {
    const real = await Deno.realPath(path), container = await Deno.realPath(folder);
    return (await Deno.realPath(`${real}/..`)) === container || (orSame && real === container);
  } catch {
    return false;
  }
}
