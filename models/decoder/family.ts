import type { ModelFamily, ModelSizes } from "../family.ts";
import type { DecoderConfig } from "./config.ts";
import { type DecoderFields, readDecoderConfig, writeDecoderConfig } from "./hugging_face.ts";
import { buildDecoder, decoderLayers } from "./model.ts";
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
    decoder: buildDecoder,
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
  const json = writeDecoderConfig({ ...EMPTY, ...known, ...shape }, fields);
  const base = known ?? readDecoderConfig(json, "the sizes", fields);
  return { ...base, ...shape };
}

/** What Llama's feed-forward layers have: two thirds of 4 C, as there are three matrices, to a multiple of 8. */
function defaultInner(embed: number): number {
  return Math.ceil(8 * embed / 3 / 8) * 8;
}

const EMPTY = { normEpsilon: 1e-5, rope: { theta: 10000 }, deviation: 0.02 };
