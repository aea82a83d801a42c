/**
 * What serving a model takes: bytes of weights and of cached tokens, and how many of these fit.
 *
 * @module
 */
import type { ByteTable } from "../kernels/mod.ts";
import { loadModel } from "../models/mod.ts";
import { checkEngineLayout } from "./engine_layout.ts";
import { planEngine } from "./engine_program.ts";
import { type EngineOptions, PAGE_TOKENS, setUpEngine } from "./engine_run.ts";
import { MAX_DEVICE_BYTES } from "./fit_engine.ts";
import { openServed } from "./served_model.ts";

/** A planned engine. */
export interface ServingPlan {
  /** What weights are computed with. */
  readonly weights: string;
  /** Devices of a replica. */
  readonly devices: number;
  /** Bytes by category of the device that holds most, without a token in its cache. */
  readonly bytes: ByteTable;
  /** Bytes of the keys and values of a token on that device. */
  readonly cacheBytesPerToken: number;
  /** Most memory of a device. */
  readonly deviceMemoryBytes: number;
  /** Tokens that the cache has room for in that memory, of all texts together; 0 if the weights have none. */
  readonly tokensThatFit: number;
  /** Longest text. */
  readonly context: number;
}

/**
 * Plans serving a model; starts nothing and reads no weights.
 *
 * @throws {UsageError} If the directory or an option cannot be used.
 */
export async function planServing(folder: string, options: EngineOptions = {}): Promise<ServingPlan> {
  const served = await openServed(folder, options.adapter),
    { context } = served.directory.family.sizes(served.directory.config);
  const { maxSequences = 32, deviceMemoryBytes = MAX_DEVICE_BYTES } = options;
  const setup = setUpEngine(served, [], options), { pp, tp, ep } = setup.degrees;
  checkEngineLayout({ ...setup, parts: await loadModel(served.model) });
  const limits = {
    ...setup.limits,
    maxSequences,
    maxRows: Math.max(setup.limits.prefillChunk, maxSequences),
    numPages: 1,
  };
  const { bytes, extentBytes } = await planEngine({ ...setup, limits });
  const { cache } = bytes, left = deviceMemoryBytes - extentBytes + cache;
  return {
    ...{
      weights: setup.weights,
      devices: pp * tp * ep,
      bytes: { ...bytes, cache: 0 },
      deviceMemoryBytes,
      context,
    },
    cacheBytesPerToken: cache / PAGE_TOKENS,
    tokensThatFit: Math.max(0, Math.floor(left / cache)) * PAGE_TOKENS,
  };
}
