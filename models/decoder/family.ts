import type { ModelFamily, ModelSizes } from "../family.ts";
import type { DecoderConfig } from "./config.ts";
import { type DecoderFields, readDecoderConfig, writeDecoderConfig } from "./hugging_face.ts";
import { decoderLayers } from "./model.ts";
import type { DecoderMixture } from "./mixture.ts";
import { isDecoderExtra, nameDecoderTensors } from "./names.ts";
import { decoderPlan } from "./plan.ts";

/** What a family of decoders is made from. */
export interface DecoderFamilyParts {
  /** What people call it. */
  readonly name: string;
  /** `import.meta.url` of the module whose default export the family is. */
  readonly module: string;
  /** Its `config.json`. */
  readonly fields: DecoderFields;
}

/** A family of decoders of Llama's kind. */
export function decoderFamily({ name, module, fields }: DecoderFamilyParts): ModelFamily<DecoderConfig> {
  return {
    modelType: fields.modelType,
    name,
    module,
    layers: decoderLayers,
    plan: decoderPlan,
    sizes: sizesOf,
    configure: (sizes, known) => configure(fields, sizes, known),
    checkpoint: {
      toConfig: (config) => writeDecoderConfig(config, fields),
      fromConfig: (json, path) => readDecoderConfig(json, path, fields),
      ignored: (json) =>
        Number(json.attention_dropout) > 0 ? [`dropout (attention_dropout ${json.attention_dropout})`] : [],
      isExtra: isDecoderExtra,
      adapt: nameDecoderTensors,
    },
  };
}

function sizesOf(config: DecoderConfig): ModelSizes {
  const { layers, heads, kvHeads, headDim, embed, inner, context, vocab, tied, mixture } = config;
  const { experts, topKExperts, capacityFactor } = mixture ?? {};
  return {
    ...{ layers, heads, kvHeads, headDim, embed, inner, context, vocab, tied },
    ...(mixture && { experts, topKExperts, capacityFactor }),
  };
}

/** A configuration of these sizes; what has no option is that of `known`, or what the family's absent fields mean. */
function configure(
  fields: DecoderFields,
  sizes: ModelSizes,
  known: DecoderConfig | undefined,
): DecoderConfig {
  const { layers, heads, embed, context, vocab } = sizes,
    { kvHeads = heads, headDim = embed / heads } = sizes;
  const { inner = defaultInner(embed), tied = false } = sizes;
  const shape = { layers, heads, kvHeads, headDim, embed, inner, context, vocab, tied };
  const base = known ??
      readDecoderConfig(plainFields(shape), `the sizes of a new ${fields.modelType}`, fields),
    { mixture } = base;
  if (mixture === undefined) return { ...base, ...shape };
  return {
    ...base,
    ...shape,
    mixture: configureMixture(mixture, sizes, known === undefined ? inner : mixture.inner),
  };
}

/** What Llama's feed-forward layers have: two thirds of 4 C, as there are three matrices, to a multiple of 8. */
function defaultInner(embed: number): number {
  return Math.ceil(8 * embed / 3 / 8) * 8;
}

/** The fields that every family must find; the others are what they are when absent. */
function plainFields(
  sizes: Pick<DecoderConfig, "layers" | "heads" | "kvHeads" | "embed" | "inner" | "vocab">,
) {
  return {
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.kvHeads,
    hidden_size: sizes.embed,
    intermediate_size: sizes.inner,
    vocab_size: sizes.vocab,
    rms_norm_eps: 1e-5,
  };
}

/** Experts of these numbers, which have room for all tokens unless a factor is given. */
function configureMixture(known: DecoderMixture, sizes: ModelSizes, inner: number): DecoderMixture {
  const experts = sizes.experts || known.experts, topKExperts = sizes.topKExperts ?? known.topKExperts ?? 1;
  return {
    ...known,
    experts,
    topKExperts,
    inner,
    capacityFactor: sizes.capacityFactor ?? experts / topKExperts,
  };
}
