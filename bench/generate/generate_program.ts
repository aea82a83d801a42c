/**
 * Our generation as a contestant.
 *
 * @module
 */
import { serve } from "../serve.ts";
import type { GenerateAnswer, GenerateSetUp, GenerateTask } from "./generate_task.ts";
import { measurePhase } from "./measure.ts";

await serve<GenerateSetUp, GenerateTask>((setUp) =>
  Promise.resolve(async ({ phase }): Promise<GenerateAnswer> => ({ ms: [await measurePhase(setUp, phase)] }))
);
