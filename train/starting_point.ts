/**
 * What a run starts from: nothing, the weights of `--init`, or the checkpoint of `--resume`.
 *
 * @module
 */
import { fingerprintOf, loadData, type LoadedData, type Samples } from "../data/mod.ts";
import { type TensorIndex, UsageError } from "../files/mod.ts";
import { checkResume, type LoadedRun, loadGpt, loadRun } from "./checkpoint.ts";
import { type Companions, whyNoBytes } from "./companions.ts";
import type { TrainConfig } from "./config.ts";
import { dropoutRates } from "./gpt2_files.ts";
import type { JobStart } from "./job.ts";
import type { GptSizes } from "./mixture_files.ts";
import type { DataIdentity } from "./trainer_state.ts";

/** What a run starts from, loaded. */
export interface StartingPoint {
  /** Step, losses, weights and moments. */
  readonly start: JobStart;
  /** Of the model that was loaded; undefined without one, and for one of the user's own. */
  readonly sizes?: GptSizes;
  /** The run that goes on. */
  readonly resumed?: LoadedRun;
  /** What goes with the model. */
  readonly companions?: Companions;
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
    const resumed = await loadRun(resume), { start, sizes, companions, folder } = resumed;
    return { start, sizes, resumed, companions, notes: [`going on from ${folder}`] };
  }
  if (typeof init !== "string") return { start: { step: 0, losses: [] }, notes: [] };
  const { folder, sizes, weights, companions } = await loadGpt(init), rates = dropoutRates(companions.config);
  const dropout = `dropout of ${folder}/config.json is not applied: ${rates.join(", ")}`;
  const notes = [`starting from the weights of ${folder}`, ...(rates.length === 0 ? [] : [dropout])];
  return { start: { step: 0, losses: [], weights }, sizes, companions, notes };
}

/**
 * Checks that a run can start with a configuration and its data.
 *
 * @throws {UsageError} If the run is finished, or bytes would be taken for ids of a tokenizer's tokens.
 */
export function checkStart(
  { resumed, sizes, companions }: StartingPoint,
  config: TrainConfig,
  { spec, identity }: LoadedData & { readonly identity: DataIdentity },
): void {
  if (resumed !== undefined && !config.evalOnly) {
    checkResume(resumed, config);
    if (!config.dataChanged) checkData(resumed, identity);
  }
  // Bytes are those of a text; ids of a vocabulary are wider.
  const isText = spec.kind === "tokens" && spec.tokens.dtype === "uint8";
  if (sizes === undefined || companions === undefined || !isText) return;
  // What a run has learned from bytes it may go on learning, with a vocabulary of any size.
  const why = whyNoBytes(companions, resumed === undefined ? sizes.vocab : 0);
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
  const identity = await identityOf(loaded, config);
  checkStart(from, config, { ...loaded, identity });
  return { loaded, identity };
}

/** The start of a model with a shorter context: it has the first rows of the positions' table. */
export function shortenContext(start: JobStart, { context }: Pick<GptSizes, "context">): JobStart {
  const name = "wpe.weight", table = start.weights?.get(name);
  if (table === undefined || table.shape[0] === context) return start;
  const weights: TensorIndex = new Map([...start.weights!, [name, {
    ...table,
    shape: [context, ...table.shape.slice(1)],
  }]]);
  return { ...start, weights };
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
