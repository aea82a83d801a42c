import { assertEquals } from "@std/assert";
import { launch, PlannedHeap } from "../../actors/mod.ts";
import { openSafetensors, writeSafetensors } from "../../files/mod.ts";
import { createBackend } from "../../kernels/mod.ts";
import gpt2 from "../../models/gpt2/mod.ts";
import { Gpt, modelOf } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";
import { Mesh } from "../../strategies/mod.ts";
import { planGenerate } from "../../serve/generate_program.ts";
import { TokenWriter } from "../../serve/writer.ts";
import { within } from "../support/deadline.ts";
import { makeBackend } from "../support/device.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** It takes no more memory than planned: the device is as large as `planGenerate()` says. */
Deno.test("the program of generate reports the tokens that the model writes in this thread, one by one", () =>
  withTempDir(async (folder) => {
    const config = { layers: 1, heads: 2, embed: 8, context: 8, vocab: 23 }, backend = makeBackend();
    const scope = Scope.root(backend.heap, 9), twin = new Gpt(scope, config), path = `${folder}/w`;
    await writeSafetensors(
      path,
      scope.parameters.map(({ name, shape, span }) => ({ name, shape, data: backend.heap.f32(span) })),
    );
    const sample = { prompt: [1, 2, 3], numTokens: 20, temperature: 1, topK: 5, seed: 4 }, kernels = "wasm";
    const tokens: unknown[] = [];
    const world = launch({
      program: import.meta.resolve("../../serve/generate_program.ts"),
      config: {
        model: modelOf(gpt2, config),
        weights: await openSafetensors(path),
        samples: [sample],
        kernels,
      },
      topology: new Mesh({}).topology(),
      deviceMemoryBytes: planGenerate({ family: gpt2, config, kernels }),
      onReport: (_rank, token) => void tokens.push(token),
    });
    await within(world.done);
    const written = [...new TokenWriter(backend, twin.decoder).write(sample)];
    assertEquals(tokens, written.map((token) => ({ prompt: 0, token })));
  }));

Deno.test("a TokenWriter takes no more memory than planned, however its text comes", () => {
  const config = { layers: 1, heads: 2, embed: 8, context: 160, vocab: 23 }, { context } = config;
  const planned = planGenerate({ family: gpt2, config, kernels: "wasm" });
  for (const first of [3, 63, 70, context]) {
    const heap = new PlannedHeap();
    const { decoder } = new Gpt(Scope.of({ heap, seed: undefined }), config);
    const writer = new TokenWriter(createBackend("wasm", heap), decoder);
    writer.readAll(Array(first).fill(0));
    for (let i = first; i < 2 * context; i++) writer.read(0);
    assertEquals(heap.extentBytes, planned, `of a prompt of ${first} tokens`);
  }
});
