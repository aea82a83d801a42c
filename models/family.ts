/**
 * A model family as one value: everything that Tessera knows of a kind of model. Who adds a family writes this value, and
 * registers it (`registry.ts`); nothing else names it.
 *
 * @module
 */
import type { TensorIndex } from "../files/mod.ts";
import type { LayerFactory } from "../nn/mod.ts";
import type { ParallelPlan } from "../strategies/mod.ts";

/** Sizes of a model by the names of the options that they have. */
export interface ModelSizes {
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads. */
  readonly heads: number;
  /** Width of the residual stream. */
  readonly embed: number;
  /** Longest sequence. */
  readonly context: number;
  /** Token ids. */
  readonly vocab: number;
  /** Heads of keys and values, where a family has an option for them. */
  readonly kvHeads?: number;
  /** Elements of a head, likewise. */
  readonly headDim?: number;
  /** Width inside of feed-forward layers, likewise. */
  readonly inner?: number;
  /** Whether the head is the table of tokens, likewise. */
  readonly tied?: boolean;
  /** Experts of a layer; none in a dense model. */
  readonly experts?: number;
  /** Experts of a token. */
  readonly topKExperts?: number;
  /** Room of an expert, in fair shares. */
  readonly capacityFactor?: number;
}

/** How a family stands in a directory of Hugging Face's form. */
export interface CheckpointForm<Config> {
  /** `config.json`; its `model_type` is that of the family. */
  toConfig(config: Config): Record<string, unknown>;
  /**
   * The configuration that a parsed `config.json` describes.
   *
   * @param path For messages.
   * @throws {UsageError} If a field is missing, makes no sense, or asks for arithmetic that is not computed here.
   */
  fromConfig(json: unknown, path: string): Config;
  /** What `config.json` asks for and training leaves out, such as `dropout (attn_pdrop 0.1)`; by default nothing. */
  ignored?(json: Readonly<Record<string, unknown>>): string[];
  /** Name in Hugging Face's classes of what has this full name here: `transformer.h.0`; by default the same. */
  moduleName?(name: string): string;
  /** Names of tensors in files that are no parameters; by default none. */
  isExtra?(name: string): boolean;
  /**
   * The tensors of a file by the names of the parameters; by default they have them.
   *
   * @param path For messages.
   * @throws {UsageError} If they cannot be those of a model.
   */
  adapt?(tensors: TensorIndex, path: string, config: Config): TensorIndex;
  /** The weights of a model with a shorter context; by default the same. */
  shorten?(weights: TensorIndex, context: number): TensorIndex;
}

/** What pipelines and tensor parallelism need of a model: a module may export just that by default. */
export interface LayeredModel<Config = unknown> {
  /**
   * The model as layers in a row: pipelines cut it between them, and shapes of parameters follow from them. To generate,
   * the layers with attention are those of type "block", and take a cache (`CachedLayer`); the last layer gives logits.
   */
  layers(config: Config): readonly LayerFactory[];
  /** Which layers tensor parallelism splits, and how; by default none. */
  plan?(config: Config): ParallelPlan;
}

/** A kind of model. `Config` is plain data: it is sent to devices. */
export interface ModelFamily<Config = unknown> extends LayeredModel<Config> {
  /** `model_type` of its `config.json`. */
  readonly modelType: string;
  /** What people call it. */
  readonly name: string;
  /** URL of the module whose default export this value is: `import.meta.url`. Devices load it. */
  readonly module: string;
  /** The sizes that have options. */
  sizes(config: Config): ModelSizes;
  /** A configuration of these sizes; what has no option is as in `known`. */
  configure(sizes: ModelSizes, known?: Config): Config;
  /** How it stands on disk. */
  readonly checkpoint: CheckpointForm<Config>;
}
