/**
 * What a run starts from: nothing, the weights of `--init`, or the checkpoint of `--resume`.
 *
 * @module
 */
import { fingerprintOf, loadData, type LoadedData, type Samples } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";
import {
  checkResume,
  type DataIdentity,
  loadDirectory,
  type LoadedRun,
  loadRun,
  type ModelDirectory,
  type RunStart,
  whyNoBytes,
} from "../checkpoint/mod.ts";
import { checkDocumentKernels, type TrainConfig } from "./config/mod.ts";

/** What a run starts from, loaded. */
export interface StartingPoint {
  /** Step, losses, weights and moments. */
  readonly start: RunStart;
  /** The model that was loaded; undefined without one, and for one that is of no family. */
  readonly loaded?: ModelDirectory;
  /** The run that goes on. */
  readonly resumed?: LoadedRun;
  /** Lines that people should see. */
  readonly notes: readonly string[];
}

/**
 * Loads what a run starts from.
 *
 * @throws {UsageError} If it cannot be used.
 */
export async function loadStart(
  { init, resume }: { readonly init?: unknown; readonly resume?: unknown },
): Promise<StartingPoint> {
  if (typeof resume === "string") {
    const resumed = await loadRun(resume), { start, loaded, folder } = resumed;
    return { start, loaded, resumed, notes: [`going on from ${folder}`] };
  }
  if (typeof init !== "string") return { start: { step: 0, losses: [] }, notes: [] };
  const { weights, ...loaded } = await loadDirectory(init), { folder, family, companions } = loaded;
  const ignored = family.checkpoint.ignored?.(companions.config) ?? [];
  const statements = ignored.map((what) => `${what} of ${folder}/config.json is not applied`);
  const notes = [`starting from the weights of ${folder}`, ...statements];
  return { start: { step: 0, losses: [], weights }, loaded, notes };
}

/**
 * Checks that a run can start with a configuration and its data.
 *
 * @throws {UsageError} If the run is finished, or bytes would be taken for ids of a tokenizer's tokens.
 */
export function checkStart(
  { resumed, loaded }: StartingPoint,
  config: TrainConfig,
  { spec, identity }: LoadedData & { readonly identity: DataIdentity },
): void {
  if (resumed !== undefined && !config.evalOnly) {
    checkResume(resumed, config);
    if (!config.dataChanged) checkData(resumed, identity);
  }
  // Bytes are those of a text; ids of a vocabulary are wider.
  const isText = spec.kind === "tokens" && spec.tokens.dtype === "uint8";
  if (loaded === undefined || !isText) return;
  const { vocab } = loaded.family.sizes(loaded.config);
  // What a run has learned from bytes it may go on learning, with a vocabulary of any size.
  const why = whyNoBytes(loaded.companions, resumed === undefined ? vocab : 0);
  if (why === undefined) return;
  throw new UsageError(
    `Cannot train on the bytes of ${spec.name}: the model is not one of bytes, ${why}; ` +
      `give its tokens as a .bin file (uint16)`,
  );
}

/**
 * Checks that data are those that a run had before.
 *
 * @throws {UsageError} Says how they differ, and which they were.
 */
function checkData({ folder, data: then }: LoadedRun, now: DataIdentity): void {
  if (then === undefined || then.hash === now.hash) return;
  const count = (n: number) => n.toLocaleString("en-US");
  const difference = then.length === now.length
    ? `as many tokens, ${count(now.length)}, but others`
    : `${count(then.length)} tokens then, ${count(now.length)} now`;
  throw new UsageError(
    `Cannot resume from ${folder} with ${
      now.path ?? "these data"
    }: they are not the data of the run (${difference}); ` +
      `give ${then.path ?? "those"}, or --data-changed to go on with these`,
  );
}

/** The data of a run: those that are given, or those of the run that goes on. */
export function dataOf(
  { resumed }: Pick<StartingPoint, "resumed">,
  { data, dtype }: { readonly data?: string | Samples; readonly dtype?: unknown },
): { readonly data?: string | Samples; readonly dtype?: unknown } {
  if (data !== undefined || resumed?.data?.path === undefined) return { data, dtype };
  return { data: resumed.data.path, dtype: dtype ?? resumed.data.dtype };
}

/** What a checkpoint will say of data. */
async function identityOf({ spec }: LoadedData, { data, dtype }: TrainConfig): Promise<DataIdentity> {
  // The run may go on from another folder.
  const path = data === undefined ? undefined : await Deno.realPath(data);
  return {
    ...fingerprintOf(spec),
    ...(path === undefined ? {} : { path }),
    ...(dtype === undefined ? {} : { dtype }),
  };
}

/**
 * Loads the data of a run and checks that it can start with them.
 *
 * @throws {UsageError} If they cannot be used, or are not those of the run that goes on.
 */
export async function loadRunData(
  from: StartingPoint,
  data: string | Samples | undefined,
  config: TrainConfig,
): Promise<{ readonly loaded: LoadedData; readonly identity: DataIdentity }> {
  const { step, samples } = from.start,
    position = samples === undefined ? undefined : { step, sample: samples };
  const loaded = config.evalOnly
    ? await loadEvaluation(data, config)
    : await loadData(data, { ...config, from: position });
  if (loaded.spec.kind === "arrays" && loaded.spec.documents !== undefined) checkDocumentKernels(config);
  const identity = await identityOf(loaded, config);
  checkStart(from, config, { ...loaded, identity });
  return { loaded, identity };
}

/** The start of the model of a configuration, whose context may be shorter than that of the one that was loaded. */
export function startOf(
  { start, loaded }: StartingPoint,
  { context }: Pick<TrainConfig, "context">,
): RunStart {
  const shorten = loaded?.family.checkpoint.shorten;
  return start.weights === undefined || shorten === undefined
    ? start
    : { ...start, weights: shorten(start.weights, context) };
}

/**
 * Loads data for `--eval-only`: their validation part, as training holds it out; all of them if there is none.
 *
 * @throws {UsageError} If they cannot be used.
 */
export async function loadEvaluation(
  data: string | Samples | undefined,
  config: TrainConfig,
): Promise<LoadedData> {
  // There is no batch to fill, and no order in which training would read on into what is held out.
  const loaded = await loadData(data, { ...config, batch: 1, order: "shuffle" }), { spec } = loaded;
  if (spec.kind === "arrays") {
    if (spec.numSamples > spec.numTrain) return loaded;
    throw new UsageError("Cannot evaluate samples of which all are to train: give a smaller numTrain");
  }
  if (spec.validation !== undefined) return loaded;
  const statement = `${loaded.statement}; so all of them are evaluated`;
  return { ...loaded, spec: { ...spec, validation: spec.train }, statement };
}
