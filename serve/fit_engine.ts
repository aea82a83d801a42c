import type { ModelDirectory } from "../checkpoint/mod.ts";
import { UsageError } from "../files/mod.ts";
import { formatBytes, formatTable, WEIGHT_FORMATS } from "../kernels/mod.ts";
import { loadModel } from "../models/mod.ts";
import { checkEngineLayout } from "./engine_layout.ts";
import { type EnginePlan, type EngineSetup, planEngine } from "./engine_program.ts";
import type { WeightChoice } from "./load_weights.ts";

/** What a 32-bit address reaches, less a page. */
export const MAX_DEVICE_BYTES: number = 2 ** 32 - 2 ** 16;
/** Changes that are named at most. */
const MOST_NAMED = 4;

/** What is changed of an engine so that it fits. */
interface Change {
  readonly weights?: WeightChoice;
  readonly tp?: number;
  readonly pp?: number;
}

/**
 * Memory of each device of an engine.
 *
 * @param capBytes What a device may have; by default what an address reaches.
 * @throws {UsageError} If a device cannot have as much: for what, and what would fit.
 */
export async function fitEngine(
  { folder }: Pick<ModelDirectory, "folder">,
  setup: EngineSetup,
  capBytes: number = MAX_DEVICE_BYTES,
): Promise<number> {
  const { bytes, extentBytes } = await planEngine(setup);
  if (extentBytes <= capBytes) return extentBytes;
  const fitting = await findFitting(setup, capBytes);
  const advice = fitting.length === 0
    ? "nothing that is tried fits; use a smaller model"
    : `these fit: ${fitting.join(", ")}`;
  throw new UsageError(
    `Cannot generate with ${folder}: a device needs ${formatBytes(extentBytes)} (${
      formatTable(bytes)
    }), and has at most ` +
      `${formatBytes(capBytes)}; ${advice}`,
  );
}

/** Options that make an engine fit, as they can be given. */
async function findFitting(setup: EngineSetup, capBytes: number): Promise<string[]> {
  const fitting: string[] = [];
  for (const change of changesOf(setup)) {
    const plan = await planChanged(setup, change);
    if (plan === undefined || plan.extentBytes > capBytes) continue;
    const options = Object.entries(change).map(([name, value]) => `--${name} ${value}`).join(" ");
    if (fitting.push(`${options} (${formatBytes(plan.extentBytes)})`) === MOST_NAMED) break;
  }
  return fitting;
}

/** Fewer bytes for a weight, more devices, and both. */
function changesOf({ weights, degrees: { tp, pp } }: EngineSetup): Change[] {
  const smaller = WEIGHT_FORMATS.slice(WEIGHT_FORMATS.findIndex((format) => format === weights) + 1);
  const spread = [2, 4, 8].flatMap((times) => [{ tp: tp * times }, { pp: pp * times }]);
  const least = smaller.at(-1);
  const both = least === undefined ? [] : spread.map((change) => ({ weights: least, ...change }));
  return [...smaller.map((format) => ({ weights: format })), ...spread, ...both];
}

/** Undefined if the model cannot be cut that way. */
async function planChanged(
  setup: EngineSetup,
  { weights, ...degrees }: Change,
): Promise<EnginePlan | undefined> {
  const changed = { ...setup, weights: weights ?? setup.weights, degrees: { ...setup.degrees, ...degrees } };
  try {
    checkEngineLayout({ ...changed, parts: await loadModel(setup.model) });
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
  return await planEngine(changed);
}
