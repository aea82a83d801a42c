import { assertEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { Gpt, Scope } from "../../nn/mod.ts";
import { Mesh } from "../../strategies/mod.ts";
import { Writer } from "../../train/sample.ts";
import { toShared } from "../../kernels/shared.ts";
import { within } from "../support/deadline.ts";
import { makeBackend } from "../support/device.ts";

Deno.test("the program of generate reports the tokens that the model writes in this thread, one by one", async () => {
  const model = { layers: 1, heads: 2, embed: 8, context: 8, vocab: 23 }, backend = makeBackend();
  const scope = Scope.root(backend.heap, 9), twin = new Gpt(scope, model);
  const weights = new Map(scope.parameters.map(({ name, span }) => [name, toShared(backend.heap.f32(span))]));
  const sample = { prompt: [1, 2, 3], numTokens: 20, temperature: 1, topK: 5, seed: 4 },
    tokens: unknown[] = [];
  const world = launch({
    program: import.meta.resolve("../../train/generate_program.ts"),
    config: { model, weights, sample, kernels: "wasm" },
    topology: new Mesh({}).topology(),
    deviceMemoryBytes: 16 << 20,
    onReport: (_rank, token) => void tokens.push(token),
  });
  await within(world.done);
  assertEquals(tokens, [...new Writer(backend, twin).write(sample)]);
});
