/**
 * Where a run of the command line goes, and the command that goes on with it.
 *
 * @module
 */
import { findModel, makeRunFolder } from "../checkpoint/mod.ts";
import { flagOf, keyOf, type PreparedTraining, type TrainOptions } from "../train/mod.ts";

/** Folder of runs unless --out says otherwise. */
export const RUNS = "out";

/**
 * The run in a folder of its own: that of `--out`, that of the checkpoint which it goes on from, or a new one.
 *
 * @throws {UsageError} If no folder can be made.
 */
export async function placeRun(
  prepared: PreparedTraining,
  { out, resume }: TrainOptions,
): Promise<PreparedTraining> {
  if (out !== undefined) return prepared;
  const parent = typeof resume === "string" ? await runOf(resume) : undefined;
  const { job } = prepared, folder = parent ?? await makeRunFolder(RUNS);
  return { ...prepared, job: { ...job, config: { ...job.config, out: folder } } };
}

/** The folder that a checkpoint `step-N` lies in; undefined if it is named otherwise, as a copy may be. */
async function runOf(resume: string): Promise<string | undefined> {
  const checkpoint = await findModel(resume);
  const [, parent, name] = /^(?:(.*)\/)?([^/]*)$/.exec(checkpoint)!;
  if (/^step-\d+$/.test(name)) return parent === "" ? "/" : parent ?? ".";
  const real = await Deno.realPath(checkpoint);
  return /\/step-\d+$/.test(real) ? real.replace(/\/[^/]*$/, "") : undefined;
}

/** Options that a command which goes on does not repeat. */
const NOT_REPEATED = ["init", "resume", "overwrite", "dataChanged"];

/** The command that goes on with a run from a checkpoint, with all the options that it was given. */
export function resumeCommand(options: TrainOptions, checkpoint: string): string {
  const words = ["deno", "task", "train"];
  for (const [name, value] of Object.entries({ ...options, resume: undefined })) {
    if (value === undefined || value === false || NOT_REPEATED.includes(keyOf(name))) continue;
    words.push(name.startsWith("-") ? name : flagOf(name));
    if (value !== true) words.push(quote(String(value)));
  }
  return [...words, "--resume", quote(checkpoint)].join(" ");
}

/** A word as a POSIX shell reads it. */
export function quote(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
