/**
 * What a model thinks of texts that are there.
 *
 * @module
 */
import { type EngineOptions, runEngine } from "./engine_run.ts";
import { openServed } from "./served_model.ts";

/**
 * Log-probabilities of the tokens of texts, from the second on, each given those before it: as the engine computes them,
 * with weights in any format and on any layout.
 *
 * @param texts Of two tokens at least, and one more than the context at most.
 * @returns Those of each text, in order.
 * @throws {UsageError} If the directory or an option cannot be used.
 */
export async function scoreTexts(
  folder: string,
  texts: readonly (readonly number[])[],
  options: EngineOptions = {},
): Promise<number[][]> {
  const served = await openServed(folder, options.adapter), scores: number[][] = texts.map(() => []);
  const none = { numTokens: 0, temperature: 0, topK: 0, seed: 0, promptLogprobs: true };
  const requests = texts.map((prompt, i) => ({ ...none, id: `${i}`, prompt }));
  for await (const { id, promptLogprobs = [] } of runEngine(served, requests, options)) {
    scores[Number(id)].push(...promptLogprobs);
  }
  return scores;
}
