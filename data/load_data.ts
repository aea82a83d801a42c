import { readText, UsageError } from "../files/mod.ts";
import { type ConversationReader, isConversationFile, readConversations } from "./conversations.ts";
import { type CorpusOptions, loadCorpus } from "./corpus.ts";
import { packConversations } from "./pack.ts";
import type { LoadedData } from "./data_spec.ts";
import { loadSamples, type Samples } from "./samples.ts";
import { firstSample, type SourceOrder } from "./source.ts";

/** The part of a run's configuration that its data depend on. */
export interface DataOptions
  extends Omit<SourceOrder, "seed">, Pick<CorpusOptions, "context" | "dtype" | "textTokenizer"> {
  /** Vocabulary of the model; undefined: what the data say. */
  readonly vocab: number | undefined;
  /** Optimizer steps in all. */
  readonly steps: number;
  /** Devices that share out the tokens of each sequence. */
  readonly cp: number;
  /** Opens what reads conversations. */
  readonly conversations?: () => Promise<ConversationReader>;
  /** See {@link PackOptions}. */
  readonly packing?: boolean;
  /** See {@link PackOptions}. */
  readonly truncate?: boolean;
}

/**
 * Loads a text or token file (by default Moby Dick), or takes samples of the user's own.
 *
 * @throws {UsageError} If they cannot be used.
 */
export async function loadData(data: string | Samples | undefined, config: DataOptions): Promise<LoadedData> {
  if (data !== undefined && typeof data !== "string") return loadSamples(data, config);
  if (data !== undefined && isConversationFile(data)) return await loadConversations(data, config);
  const { vocab, dtype, context, batch, steps, order, textTokenizer } = config;
  const minTrainTokens = order === "sequential" ? firstSample(steps, config) * context + 1 : 0;
  const { statement, ...corpus } = await loadCorpus(data, {
    vocab,
    dtype,
    context,
    batch,
    minTrainTokens,
    textTokenizer,
  });
  return { spec: { kind: "tokens", context, ...corpus }, vocab: corpus.vocab, statement };
}

async function loadConversations(path: string, config: DataOptions): Promise<LoadedData> {
  const reader = await config.conversations?.();
  if (reader === undefined) {
    throw new UsageError(
      `Cannot train on ${path}: conversations need a tokenizer; give a model that has one (--init)`,
    );
  }
  const read = readConversations(await readText(path), path, reader);
  const { samples, statement } = packConversations(read, path, config), loaded = loadSamples(samples, config);
  return { ...loaded, statement: `${statement}; ${loaded.statement}` };
}
