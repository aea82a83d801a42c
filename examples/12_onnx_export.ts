/**
 * What you learn: a trained model becomes an ONNX model, which any onnxruntime runs, here onnxruntime-web with its KV
 * cache.
 *
 *     deno run --allow-read --allow-write examples/12_onnx_export.ts
 *
 * prints a few words that onnxruntime writes, which are those that Tessera writes.
 */
import { assertEquals } from "@std/assert";
import { exportOnnx, generate, gpt, train } from "../mod.ts";

// A variable, so that only those who run this example fetch the package.
const PACKAGE = "npm:onnxruntime-web@1.30.0/wasm";

/** What is used of onnxruntime-web. */
interface Ort {
  readonly env: { readonly wasm: { numThreads: number } };
  readonly InferenceSession: { create(model: Uint8Array): Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array | BigInt64Array, dims: number[]) => Tensor;
}

interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

interface Session {
  readonly inputNames: readonly string[];
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
}

const PROMPT = "Call me ", NUM_TOKENS = 20, HEADS = 2, EMBED = 64;

/** The likeliest continuation: a run for the prompt, then one for each token, with what the runs before have cached. */
async function continueWith({ Tensor, session }: Pick<Ort, "Tensor"> & { session: Session }, ids: number[]) {
  const past: Record<string, Tensor> = {}, tokens: number[] = [];
  for (const name of session.inputNames.slice(1)) {
    past[name] = new Tensor("float32", new Float32Array(0), [1, HEADS, 0, EMBED / HEADS]);
  }
  for (let next = ids; tokens.length < NUM_TOKENS; next = tokens.slice(-1)) {
    const input_ids = new Tensor("int64", BigInt64Array.from(next, BigInt), [1, next.length]);
    const { logits, ...present } = await session.run({ input_ids, ...past });
    for (const [name, tensor] of Object.entries(present)) {
      past[name.replace("present", "past_key_values")] = tensor;
    }
    const last = logits.data.slice(-logits.dims[2]);
    tokens.push(last.indexOf(Math.max(...last)));
  }
  return tokens;
}

if (import.meta.main) {
  const out = await Deno.makeTempDir(), model = gpt({ layers: 2, heads: HEADS, embed: EMBED, context: 64 });
  for await (const step of train({ model, out, steps: 150, warmup: 10, evalEvery: 0 })) {
    if (step.step % 50 === 0) console.log(`step ${step.step}: loss ${step.loss.toFixed(3)}`);
  }
  const { file, opset } = await exportOnnx(`${out}/step-150`, `${out}/model.onnx`, { kvCache: true });
  console.log(`exported with opset ${opset}`);
  // Before onnxruntime loads: it takes Deno for Node.js and puts another Worker in place of Deno's.
  const options = { prompt: PROMPT, numTokens: NUM_TOKENS, temperature: 0 };
  const expected = await Array.fromAsync(generate(`${out}/step-150`, options));

  const ort = await import(PACKAGE) as Ort;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await Deno.readFile(file));
  const ids = [...new TextEncoder().encode(PROMPT)], tokens = await continueWith({ ...ort, session }, ids);
  console.log(PROMPT + new TextDecoder().decode(Uint8Array.from(tokens)));
  assertEquals(tokens, expected);
  await Deno.remove(out, { recursive: true });
}
