import { median } from "../statistics.ts";
import { writeModel } from "./generate_problem.ts";
import {
  countedTokens,
  type Format,
  FORMATS,
  MODEL_NAME,
  type Phase,
  PHASES,
  SIZES,
} from "./generate_task.ts";
import { measurePhase } from "./measure.ts";

/** A measured phase of generation. */
export interface GenerateBenchRecord {
  readonly bench: "generate";
  readonly phase: Phase;
  readonly model: string;
  readonly weights: Format;
  /** Texts at a time. */
  readonly sequences: number;
  /** Devices that share every layer. */
  readonly devices: number;
  /** Median of the counted tokens. */
  readonly ms: number;
  readonly tokensPerSecond: number;
}

const ROUNDS = 3;

/** Measures reading a prompt, writing a text, and writing many, on so many devices. */
export async function* benchGenerate(devices: number): AsyncGenerator<GenerateBenchRecord> {
  const folder = await Deno.makeTempDir();
  try {
    await writeModel(folder);
    for (const weights of FORMATS) {
      for (const phase of PHASES) {
        const times: number[] = [];
        for (let i = 0; i < ROUNDS; i++) {
          times.push(await measurePhase({ folder, format: weights, devices }, phase));
        }
        const ms = median(times), { sequences } = SIZES[phase];
        const tokensPerSecond = countedTokens(phase) / ms * 1000;
        yield {
          bench: "generate",
          phase,
          model: MODEL_NAME,
          weights,
          sequences,
          devices,
          ms,
          tokensPerSecond,
        };
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
