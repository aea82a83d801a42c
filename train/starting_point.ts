/**
 * What a run starts from: nothing, the weights of `--init`, or the checkpoint of `--resume`.
 *
 * @module
 */
import {
  type ConversationReader,
  type DataOptions,
  type DataSpec,
  fingerprintOf,
  loadData,
  type LoadedData,
  type Samples,
} from "../data/mod.ts";
import {
  byteFiles,
  BYTES,
  openChatTemplate,
  openTokenizer,
  type Tokenizer,
  TOKENIZER_FILES,
} from "../tokenizers/mod.ts";
import { fileProblem, UsageError } from "../files/mod.ts";
import {
  checkResume,
  type Companions,
  type DataIdentity,
  directoryTokenizer,
  endTokens,
  findCompanions,
  loadDirectory,
  type LoadedRun,
  loadRun,
  type ModelDirectory,
  type RunStart,
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
 * @throws {UsageError} If the run is finished, or had other data.
 */
export function checkStart(
  { resumed }: StartingPoint,
  config: TrainConfig,
  { identity }: { readonly identity: DataIdentity },
): void {
  if (resumed !== undefined && !config.evalOnly) {
    checkResume(resumed, config);
    if (!config.dataChanged) checkData(resumed, identity);
  }
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

/**
 * What reads a text of a run: the tokenizer of its model, or, of a new one, that of `--tokenizer`; bytes, if they have none.
 *
 * @throws {UsageError} If it cannot be used, or the model is none of bytes and has none.
 */
export async function textTokenizer(
  { loaded, resumed }: Pick<StartingPoint, "loaded" | "resumed">,
  { tokenizer: path, vocab }: Pick<TrainConfig, "tokenizer" | "vocab">,
): Promise<Tokenizer> {
  if (loaded === undefined) {
    if (path === undefined) return BYTES;
    const tokenizer = await openTokenizer(await tokenizerPlace(path), vocab);
    if (tokenizer !== undefined) return tokenizer;
    throw new UsageError(
      `Cannot use --tokenizer ${path}: it has no tokenizer.json, and no vocab.json with merges.txt`,
    );
  }
  if (path !== undefined) {
    throw new UsageError(
      `Cannot use --tokenizer ${path}: the model of ${loaded.folder} brings its own; leave the option out`,
    );
  }
  const tokenizer = await directoryTokenizer(loaded), size = loaded.family.sizes(loaded.config).vocab;
  // What a run has learned from bytes it may go on learning, with a vocabulary of any size.
  if (tokenizer !== undefined || resumed !== undefined || size <= BYTES.vocab) return tokenizer ?? BYTES;
  throw new UsageError(
    `Cannot train on a text: the model of ${loaded.folder} has a vocabulary of ${size} and no tokenizer.json; put its ` +
      `tokenizer there, or give tokens as a .bin file`,
  );
}

/**
 * What reads conversations of a run: the tokenizer of its model, and its chat template.
 *
 * @throws {UsageError} If one of them cannot be used.
 */
export async function conversationReader(
  from: Pick<StartingPoint, "loaded" | "resumed">,
  config: Pick<TrainConfig, "tokenizer" | "vocab">,
): Promise<ConversationReader> {
  const tokenizer = await textTokenizer(from, config);
  const place = from.loaded?.companions ??
    (config.tokenizer === undefined ? undefined : await tokenizerPlace(config.tokenizer));
  if (place === undefined) return { tokenizer, template: undefined, endToken: undefined };
  return { tokenizer, template: await openChatTemplate(place), endToken: (await endTokens(place)).at(0) };
}

/**
 * What goes with a model into its checkpoints: what it was loaded with, or the files of its tokenizer. Of bytes they are
 * made, for programs that do not know that ids are bytes.
 */
export async function companionsOf(
  { loaded }: Pick<StartingPoint, "loaded">,
  { tokenizer }: Pick<TrainConfig, "tokenizer">,
  spec: DataSpec,
): Promise<Companions | undefined> {
  const known = loaded?.companions ?? (tokenizer === undefined ? undefined : await tokenizerPlace(tokenizer));
  const isText = spec.kind === "tokens" && spec.tokens.dtype === "uint8";
  const hasFiles = known?.files.some((name) => TOKENIZER_FILES.includes(name)) ?? false;
  if (!isText || hasFiles) return known;
  return { from: "", files: [], config: {}, ...known, texts: byteFiles() };
}

async function tokenizerPlace(path: string): Promise<Companions> {
  try {
    return await findCompanions(path, {});
  } catch (error) {
    throw new UsageError(
      `Cannot use --tokenizer ${path}: ${fileProblem(error)}; give the folder of a tokenizer`,
    );
  }
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
  const asked = {
    ...config,
    textTokenizer: () => textTokenizer(from, config),
    conversations: () => conversationReader(from, config),
  };
  const loaded = config.evalOnly
    ? await loadEvaluation(data, asked)
    : await loadData(data, { ...asked, from: position });
  if (loaded.spec.kind === "arrays" && loaded.spec.documents !== undefined) checkDocumentKernels(config);
  const identity = await identityOf(loaded, config);
  checkStart(from, config, { identity });
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
  config: TrainConfig & Pick<DataOptions, "textTokenizer" | "conversations">,
): Promise<LoadedData> {
  // There is no batch to fill, and no order in which training would read on into what is held out.
  const loaded = await loadData(data, { ...config, batch: 1, order: "shuffle" }), { spec } = loaded;
  if (spec.kind === "arrays") {
    if (spec.numSamples > spec.numTrain) return loaded;
    throw new UsageError("Cannot evaluate samples of which all are to train: give a smaller numTrain");
  }
  if (config.evalAll) {
    const { tokens, validationTokens: _, ...rest } = spec, all = { start: 0, end: tokens.length };
    const statement = `${spec.name}: ${tokens.length.toLocaleString("en-US")} tokens`;
    return {
      ...loaded,
      statement,
      spec: { ...rest, tokens, validation: all, evaluated: config.evalSamples ?? Infinity },
    };
  }
  if (spec.validation !== undefined) return loaded;
  const statement = `${loaded.statement}; so all of them are evaluated`;
  return { ...loaded, spec: { ...spec, validation: spec.train }, statement };
}
