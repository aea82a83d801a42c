import { assertEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { openSafetensors, writeSafetensors } from "../../files/mod.ts";
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
