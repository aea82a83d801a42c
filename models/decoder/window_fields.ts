import type { DecoderConfig } from "./config.ts";
import type { ConfigFields } from "./fields.ts";

/**
 * The sliding windows that a `config.json` describes: the same for all layers, or for those that `layer_types` names, or
 * for those from `max_window_layers` on.
 *
 * @param isUsed Whether the family uses its window.
 * @throws {UsageError} If layers have types that are not computed here.
 */
export function readWindow(
  fields: ConfigFields,
  { layers }: Pick<DecoderConfig, "layers">,
  isUsed: boolean,
): Pick<DecoderConfig, "window" | "fullLayers"> {
  if (!isUsed || fields.raw("sliding_window") === undefined) return {};
  const window = fields.count("sliding_window"), types = fields.raw("layer_types");
  if (types !== undefined) return { window, fullLayers: fullLayersOf(fields, types, layers) };
  const first = fields.raw("max_window_layers") === undefined ? 0 : fields.amount("max_window_layers", 0);
  const fullLayers = Array.from({ length: Math.min(first, layers) }, (_, layer) => layer);
  if (fullLayers.length === layers) return {};
  return fullLayers.length === 0 ? { window } : { window, fullLayers };
}

const FULL = "full_attention", SLIDING = "sliding_attention";

function fullLayersOf(fields: ConfigFields, types: unknown, layers: number): number[] {
  if (!Array.isArray(types) || types.length !== layers) {
    fields.fail(`layer_types must name the type of ${layers} layers`);
  }
  const unknown = types.find((type) => type !== FULL && type !== SLIDING);
  if (unknown !== undefined) {
    fields.fail(`layer_types has ${JSON.stringify(unknown)}, supported are "${FULL}" and "${SLIDING}"`);
  }
  return types.flatMap((type, layer) => type === FULL ? [layer] : []);
}

/** The fields of windows. */
export function writeWindow({ layers, window, fullLayers = [] }: DecoderConfig): Record<string, unknown> {
  if (window === undefined) return { sliding_window: null };
  if (fullLayers.length === 0) return { sliding_window: window };
  const typeOf = (layer: number) => fullLayers.includes(layer) ? FULL : SLIDING;
  return { sliding_window: window, layer_types: Array.from({ length: layers }, (_, layer) => typeOf(layer)) };
}
