import { FAST_FLAGS } from "../../kernels/mod.ts";
import type { Row, Style } from "../comparison.ts";
import { type Entry, type Lineup, openAll } from "../peer.ts";
import { measureInTurn } from "../rounds.ts";
import { denoCommand, openServed } from "../served_process.ts";
import {
  countedTokens,
  type GenerateAnswer,
  type GenerateSetUp,
  type GenerateTask,
  type Phase,
  PHASES,
  SIZES,
} from "./generate_task.ts";
import { llamaEntry } from "./llama_peer.ts";

/** A lineup of `bench generate --peers`. */
export type GenerateLineup = Lineup<GenerateTask, GenerateAnswer>;

/** How its figures are shown. */
export const GENERATE_STYLE: Style = {
  what: "phase",
  unit: "tokens/s",
  show: ({ speed }) => speed < 100 ? speed.toPrecision(3) : String(Math.round(speed)),
};

function ourEntry(name: string, setUp: GenerateSetUp, isFast: boolean): Entry<GenerateTask, GenerateAnswer> {
  const v8Flags = isFast ? FAST_FLAGS : undefined;
  const command = denoCommand(name, "./generate/generate_program.ts", {
    permissions: ["--allow-read"],
    v8Flags,
  });
  return { name, open: () => openServed(command, { isOurs: true, setUp }) };
}

/** Starts all who take part. */
export async function openGenerateLineup(setUp: GenerateSetUp): Promise<GenerateLineup> {
  return await openAll([ourEntry("fast", setUp, true), ourEntry("plain", setUp, false), llamaEntry(setUp)]);
}

/** Measures all phases of all contestants in turn. */
export async function* compareGenerate(
  { contestants }: GenerateLineup,
  { format }: Pick<GenerateSetUp, "format">,
  rounds: number,
): AsyncGenerator<Row> {
  for (const phase of PHASES) {
    const { ms } = await measureInTurn(contestants, { phase }, rounds);
    // Tokens a ms, as tokens/s.
    yield { label: describePhase(phase, format), ms, work: countedTokens(phase) * 1000 };
  }
}

function describePhase(phase: Phase, format: string): string {
  const { sequences, prompt } = SIZES[phase];
  const what = { prefill: `prefill of ${prompt}`, decode: "decode", batch: `decode of ${sequences} texts` };
  return `${what[phase]}, ${format}`;
}
