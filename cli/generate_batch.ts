import { readText, UsageError } from "../files/mod.ts";
import {
  type BatchAnswer,
  type BatchRequest,
  type EngineOptions,
  generateBatch,
  resolveSample,
  SAMPLE_OPTIONS,
  type SampleChoice,
  TextStream,
} from "../serve/mod.ts";
import type { Tokenizer } from "../tokenizers/mod.ts";

/** Names of sampling in a line, with those of the library. */
const CHOICES: ReadonlyMap<string, keyof SampleChoice> = new Map(
  SAMPLE_OPTIONS.map(({ key, name }) => [key, name]),
);
const FIELDS = ["id", "prompt", "promptIds", ...CHOICES.keys(), "stop", "logprobs", "logitBias"];

/** A line of a file of requests. */
interface BatchLine {
  readonly request: BatchRequest;
  readonly stops: readonly string[];
  readonly hasLogprobs: boolean;
}

/** How the lines of a file are answered. */
export interface BatchCommand extends EngineOptions {
  /** Directory of the model. */
  readonly model: string;
  /** The file. */
  readonly path: string;
  /** For what a line does not say. */
  readonly choice: SampleChoice;
  /** Of the model; undefined if nothing says what ids mean. */
  readonly tokenizer: Tokenizer | undefined;
}

/** Answers a file of requests, a JSON line for each as it is done. */
export async function writeBatch(
  { model, path, choice, tokenizer, ...options }: BatchCommand,
): Promise<void> {
  const lines = await readLines(path, choice), byId = new Map(lines.map((line) => [line.request.id, line]));
  for await (const answer of generateBatch(model, lines.map(({ request }) => request), options)) {
    console.log(JSON.stringify(answerOf(byId.get(answer.id)!, answer, tokenizer)));
  }
}

function answerOf(line: BatchLine, answer: BatchAnswer, tokenizer: Tokenizer | undefined) {
  const { stops, hasLogprobs, request: { id } } = line, text = tokenizer && new TextStream(tokenizer, stops);
  let complete = "", count = 0;
  for (; count < answer.chosen.length && text?.isEnded !== true; count++) {
    complete += text?.next(answer.chosen[count].token) ?? "";
  }
  const isStopped = text?.isEnded === true, chosen = answer.chosen.slice(0, count);
  return {
    id,
    ...(text && { text: complete + text.end() }),
    tokens: chosen.map(({ token }) => token),
    ...(hasLogprobs && { logprobs: chosen.map(({ logprob }) => logprob) }),
    finish: isStopped ? "stop" : answer.finish,
  };
}

async function readLines(path: string, choice: SampleChoice): Promise<BatchLine[]> {
  const texts = (await readText(path)).split(/\r?\n/), ids = new Set<string>();
  const lines = texts.flatMap((text, i) => {
    if (text.trim() === "") return [];
    const at = `line ${i + 1} of ${path}`, line = readLine(text, { at, index: i, choice });
    if (ids.has(line.request.id)) {
      throw new UsageError(
        `Cannot use ${at}: another line has the id "${line.request.id}"; give each its own`,
      );
    }
    ids.add(line.request.id);
    return [line];
  });
  if (lines.length === 0) throw new UsageError(`Cannot use --batch ${path}: it has no line`);
  return lines;
}

/** Where a line stands. */
interface LinePlace {
  /** For messages. */
  readonly at: string;
  readonly index: number;
  readonly choice: SampleChoice;
}

function readLine(text: string, { at, index, choice }: LinePlace): BatchLine {
  const fields = parseLine(text, at),
    { id = String(index), prompt, promptIds, stop, logprobs = false, logitBias } = fields;
  const refuse = (what: string) => {
    throw new UsageError(`Cannot use ${at}: ${what}`);
  };
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) refuse(`"${unknown}" is no field of a request; there are ${FIELDS.join(", ")}`);
  if (typeof id !== "string" && typeof id !== "number") refuse(`"id" must be a text or a number`);
  if ((prompt === undefined) === (promptIds === undefined)) refuse(`it must have "prompt" or "promptIds"`);
  if (prompt !== undefined && typeof prompt !== "string") refuse(`"prompt" must be a text`);
  if (promptIds !== undefined && !isList(promptIds, "number")) {
    refuse(`"promptIds" must be a list of numbers`);
  }
  if (
    logitBias !== undefined &&
    (typeof logitBias !== "object" || logitBias === null || Array.isArray(logitBias))
  ) {
    refuse(`"logitBias" must be an object of biases by id, such as {"50": -100}`);
  }
  if (typeof logprobs !== "boolean") refuse(`"logprobs" must be true or false`);
  const stops = stop === undefined ? [] : isList(stop, "string") ? stop as string[] : [stop as string];
  if (!isList(stops, "string")) refuse(`"stop" must be a text or a list of them`);
  const given = [...CHOICES].filter(([key]) => fields[key] !== undefined)
    .map(([key, name]) => [name, fields[key]]);
  try {
    const request = {
      id: String(id),
      prompt: (prompt ?? promptIds) as BatchRequest["prompt"],
      ...(logitBias !== undefined && { logitBias: logitBias as BatchRequest["logitBias"] }),
    };
    return {
      request: { ...request, ...resolveSample({ ...choice, ...Object.fromEntries(given) }) },
      ...{ stops, hasLogprobs: logprobs === true },
    };
  } catch (error) {
    if (error instanceof UsageError) refuse(error.message);
    throw error;
  }
}

function parseLine(text: string, at: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  throw new UsageError(`Cannot use ${at}: it is not a JSON object such as {"id": "a", "prompt": "Call me"}`);
}

function isList(value: unknown, type: "string" | "number"): boolean {
  return Array.isArray(value) && value.every((element) => typeof element === type);
}
