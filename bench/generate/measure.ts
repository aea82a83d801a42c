import { now } from "../../kernels/mod.ts";
import { type BatchRequest, resolveSample, streamBatch } from "../../serve/mod.ts";
import { type Format, type Phase, promptOf, SIZES } from "./generate_task.ts";

/** How a model is run. */
export interface MeasuredRun {
  readonly folder: string;
  readonly format: Format;
  readonly devices: number;
}

/** Milliseconds that the counted tokens of a phase take: after a text that warms up, on devices that share every layer. */
export async function measurePhase({ folder, format, devices }: MeasuredRun, phase: Phase): Promise<number> {
  const { sequences, prompt, written } = SIZES[phase];
  const requestOf = (id: string, text: number): BatchRequest => ({
    ...{ id, prompt: promptOf(prompt, text) },
    ...resolveSample({ numTokens: written, temperature: 0 }),
  });
  const warmUp = requestOf("warm-up", 0),
    measured = Array.from({ length: sequences }, (_, i) => requestOf(`${i}`, i + 1));
  const options = {
    weights: format,
    tp: devices,
    maxSequences: sequences,
    prefillChunk: 256,
    ignoreEos: true,
  };
  // One after the other where there is one at a time; in a batch the first steps warm up.
  const requests = sequences === 1 ? [warmUp, ...measured] : measured;
  const times = new Map<string, number[]>();
  for await (const { id, chosen } of streamBatch(folder, requests, options)) {
    if (chosen !== undefined) times.set(id, [...times.get(id) ?? [], now()]);
  }
  const own = measured.map(({ id }) => times.get(id)!), last = Math.max(...own.map((list) => list.at(-1)!));
  const first = Math.max(...own.map(([ms]) => ms));
  return phase === "prefill" ? first - times.get(warmUp.id)!.at(-1)! : last - first;
}
