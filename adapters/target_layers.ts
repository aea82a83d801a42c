import { UsageError } from "../files/mod.ts";
import { linearLayers } from "../models/mod.ts";
import type { LayerFactory, LinearSite } from "../nn/mod.ts";

/** In place of names: every linear layer but the output head. */
export const ALL_LINEAR = "all-linear";
/** What is adapted if nobody says: those of these that a model has, as PEFT does. */
const USUAL = ["q_proj", "v_proj", "c_attn"];

/**
 * The linear layers that names mean, in the order of the model.
 *
 * @param targets Names of modules or ends of their paths, as PEFT's `target_modules`, or {@link ALL_LINEAR}; by default
 * the usual ones.
 * @throws {UsageError} If a name means no layer: which there are.
 */
export function targetLayers(
  layers: readonly LayerFactory[],
  targets?: readonly string[],
): LinearSite[] {
  const sites = linearLayers(layers), names = [...new Set(sites.map(({ path }) => lastName(path)))];
  const asked = targets ?? USUAL.filter((name) => names.includes(name));
  const isAll = asked.includes(ALL_LINEAR);
  const meant = asked.map((target) => ({ target, found: sites.filter(({ path }) => isNamed(path, target)) }));
  const unknown = meant.find(({ target, found }) => target !== ALL_LINEAR && found.length === 0);
  if (unknown !== undefined || asked.length === 0) {
    throw new UsageError(
      `Cannot adapt ${JSON.stringify(unknown?.target ?? "nothing")}: the model has no such linear layer; ` +
        `it has ${names.join(", ")}`,
    );
  }
  const found = new Set(meant.flatMap(({ found }) => found));
  return sites.filter((site) => found.has(site) || (isAll && !isHead(site)));
}

function isNamed(path: string, target: string): boolean {
  return path === target || path.endsWith(`.${target}`);
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** The head is what makes logits: the last layer of the models that are here. */
function isHead({ path }: LinearSite): boolean {
  return path === "lm_head";
}
