/** Runs exported models with onnxruntime, as a user of them would. */
import { assert, assertEquals } from "@std/assert";
import { loadOrt, type OrtSession, type OrtTensor, type Provider } from "../../kernels/onnx/ort.ts";
import { loadDirectory } from "../../checkpoint/checkpoint.ts";
import { wholeScores } from "./whole_scores.ts";

/** A session with what is needed to feed it. */
export interface ExportedSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  ids(values: readonly number[], batch?: number): OrtTensor;
  floats(values: Float32Array, dims: readonly number[]): OrtTensor;
}

/** Opens a model file; its outputs come back to memory. */
export async function openExported(file: string, provider: Provider): Promise<ExportedSession> {
  const ort = await loadOrt(provider), data = await Deno.readFile(`${file}.data`).catch(() => undefined);
  const name = `${file.slice(file.lastIndexOf("/") + 1)}.data`;
  const externalData = data === undefined ? {} : { externalData: [{ path: name, data }] };
  const session: OrtSession = await ort.InferenceSession.create(await Deno.readFile(file), {
    executionProviders: [provider],
    // It warns that shapes are computed on the CPU.
    logSeverityLevel: 3,
    ...externalData,
  });
  return {
    run: (feeds) => session.run(feeds),
    ids: (values, batch = 1) =>
      new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [batch, values.length / batch]),
    floats: (values, dims) => new ort.Tensor("float32", values, dims),
  };
}

/** Logits of every position, and the likeliest continuation, as Tessera computes them. */
export async function computeHere(
  folder: string,
  prompt: readonly number[],
  numTokens: number,
): Promise<{ logits: Float32Array[]; tokens: number[] }> {
  const model = await loadDirectory(folder), tokens: number[] = [];
  let logits = await wholeScores(model, prompt);
  while (tokens.length < numTokens) {
    tokens.push(likeliest(logits.at(-1)!));
    logits = await wholeScores(model, [...prompt, ...tokens]);
  }
  return { logits, tokens };
}

/** The index of the largest. */
export function likeliest(logits: Float32Array): number {
  return logits.reduce((best, value, i) => value > logits[best] ? i : best, 0);
}

/** The last row of logits [1, T, V]. */
export function lastRow({ data, dims }: OrtTensor): Float32Array {
  return (data as Float32Array).slice((dims[1] - 1) * dims[2]);
}

/** The likeliest continuation with a model without a cache: every run reads everything. */
export async function continueWhole(
  session: ExportedSession,
  prompt: readonly number[],
  numTokens: number,
): Promise<number[]> {
  const all = [...prompt];
  for (let i = 0; i < numTokens; i++) {
    const { logits } = await session.run({ input_ids: session.ids(all) });
    all.push(likeliest(lastRow(logits)));
  }
  return all.slice(prompt.length);
}

/** The likeliest continuation with a cache: a run for the prompt, then one for each token. */
export async function continueCached(
  session: ExportedSession,
  prompt: readonly number[],
  options: { numTokens: number; layers: number; heads: number; headDim: number },
): Promise<number[]> {
  const { layers, heads, headDim, numTokens } = options, tokens: number[] = [];
  let past: Record<string, OrtTensor> = {}, next = prompt;
  for (let i = 0; i < layers; i++) {
    for (const kind of ["key", "value"]) {
      past[`past_key_values.${i}.${kind}`] = session.floats(new Float32Array(0), [1, heads, 0, headDim]);
    }
  }
  while (tokens.length < numTokens) {
    const { logits, ...present } = await session.run({ input_ids: session.ids(next), ...past });
    past = Object.fromEntries(
      Object.entries(present).map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor]),
    );
    next = [likeliest(lastRow(logits))];
    tokens.push(...next);
  }
  return tokens;
}

/** An exported model, with and without a cache, and what it was made of. */
export interface Exported {
  folder: string;
  file: string;
  cached: string;
  provider: Provider;
}

/** Compares the logits of a prompt, at every position, and the likeliest continuation. */
export async function checkExported(
  { folder, file, cached, provider }: Exported,
  { numTokens, bound }: { numTokens: number; bound: number },
): Promise<void> {
  const { family, config } = await loadDirectory(folder);
  const { layers, heads, kvHeads = heads, embed, headDim = embed / heads, context, vocab } = family.sizes(
    config,
  );
  const prompt = Array.from(new TextEncoder().encode("It was a "), (byte) => byte % vocab).slice(
    0,
    context - numTokens,
  );
  const here = await computeHere(folder, prompt, numTokens), whole = await openExported(file, provider);
  const batch = await whole.run({ input_ids: whole.ids([...prompt, ...prompt], 2) });
  assertEquals(batch.logits.dims.slice(0, 2), [2, prompt.length]);
  const found = batch.logits.data as Float32Array, wanted = here.logits.slice(0, prompt.length);
  [...wanted, ...wanted].forEach((row, i) => {
    const error = row.reduce(
      (max, value, j) => Math.max(max, Math.abs(value - found[i * row.length + j])),
      0,
    );
    assert(error <= bound, `logits of position ${i} are off by ${error} on ${provider}`);
  });
  assertEquals(await continueWhole(whole, prompt, numTokens), here.tokens);
  const options = { numTokens, layers, heads: kvHeads, headDim };
  assertEquals(await continueCached(await openExported(cached, provider), prompt, options), here.tokens);
}
