import { resolveConfig, UsageError } from "../../mod.ts";
import { allCells, type Cell, MODELS, RECIPE } from "./cells.ts";

/**
 * Few legal cells in which every value, and every pair of settings, occurs that occurs in any: picked one after the
 * other, each time the one with the most that are new for the devices it takes.
 *
 * Source: Cohen et al., The AETG System, IEEE TSE 1997 (greedy pairwise test selection).
 */
export function coveringCells(): Cell[] {
  const candidates = [...allCells()].filter(isLegal).map((cell) => ({
    cell,
    pairs: pairsOf(cell),
    cost: costOf(cell),
  }));
  const missing = new Set(candidates.flatMap(({ pairs }) => pairs)), picked: Cell[] = [];
  const isNew = (pair: string) => missing.has(pair);
  while (missing.size > 0) {
    let best = candidates[0], bestScore = 0;
    for (const candidate of candidates) {
      const score = candidate.pairs.filter(isNew).length / candidate.cost;
      if (score > bestScore) [best, bestScore] = [candidate, score];
    }
    for (const pair of best.pairs) missing.delete(pair);
    picked.push(best.cell);
  }
  return picked;
}

/** Whether the options go together, as far as no model need be built. */
export function isLegal({ model, options }: Cell): boolean {
  const { microBatch, batch, numerics } = RECIPE, { model: _, ...sizes } = { model: "", ...MODELS[model] };
  try {
    resolveConfig({ ...sizes, ...options, microBatch, batch, numerics }, { numCores: 1 });
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** Every value, and every pair of settings; in pairs a degree is 1 or more, as 2 and 4 are handled alike. */
function pairsOf({ model, options }: Cell): string[] {
  const entries = Object.entries({ model, ...options });
  const settings = entries.map(([key, value]) =>
    `${key} ${typeof value === "number" && key !== "zero" ? value > 1 : value}`
  );
  const pairs = settings.flatMap((a, i) => settings.slice(i + 1).map((b) => `${a}, ${b}`));
  return [...entries.map(([key, value]) => `${key} ${value}`), ...pairs];
}

/** Starting workers costs more than three steps: a run of n devices takes about as long as n + 2 units. */
function costOf({ options: { dp, tp, pp, cp, ep } }: Cell): number {
  return dp * tp * pp * cp * ep + 2;
}
