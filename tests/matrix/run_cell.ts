import { UsageError } from "../../mod.ts";
import { runToEnd } from "../train/support/runs.ts";
import { type Cell, type ModelName, MODELS, RECIPE } from "./cells.ts";

/** What became of a cell. */
export type CellResult =
  | { readonly kind: "same"; readonly lossHash: string }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "different" | "failed"; readonly reason: string };

/** A line of the file of results. */
export type CellRecord = { readonly cell: Cell } & CellResult;

/** The numbers of a run that must be the same, bit for bit. */
interface Numbers {
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  readonly lossHash: string;
}

const references = new Map<ModelName, Promise<Numbers>>();

/** The numbers of one device; computed once for each model. */
function referenceOf(model: ModelName): Promise<Numbers> {
  let numbers = references.get(model);
  if (numbers === undefined) {
    references.set(model, numbers = runToEnd({ ...RECIPE, ...MODELS[model], dp: 1 }));
  }
  return numbers;
}

/** Trains a cell and compares it with one device. */
export async function runCell({ model, options }: Cell): Promise<CellResult> {
  const wanted = await referenceOf(model);
  try {
    const got = await runToEnd({ ...RECIPE, ...MODELS[model], ...options });
    const show = ({ losses, gradNorms, lossHash }: Numbers) => JSON.stringify([losses, gradNorms, lossHash]);
    if (show(got) === show(wanted)) return { kind: "same", lossHash: got.lossHash };
    return { kind: "different", reason: `${show(got)} instead of ${show(wanted)}` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: error instanceof UsageError ? "refused" : "failed", reason };
  }
}

/** A reason without its numbers, to count those that are alike. */
export function reasonKey(reason: string): string {
  return reason.replace(/\d+/g, "N").replace(/zero-bubble|interleaved|gpipe|1f1b|Nf1b|NfNb/g, "S");
}
