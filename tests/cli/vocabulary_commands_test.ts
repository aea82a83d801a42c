/** Vocabularies and adapters as a user meets them: from a text to a model that reads it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { run } from "../support/command.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname, LLAMA = `${GOLDEN}llama-tiny/init`;
const TINY = ["--layers", "1", "--embed", "8", "--heads", "2", "--context", "8", "--batch", "2", "--dp", "1"];
const WORDS = ["the", "white", "whale", "and", "the", "sea", "sails", "again"];
const TEXT = Array.from({ length: 3000 }, (_, i) => WORDS[(i * i + 3 * i) % 8] + (i % 9 === 8 ? "\n" : " "))
  .join("");

async function succeed(...args: string[]): Promise<string> {
  const { code, out, errors } = await run(...args);
  assertEquals(code, 0, errors.join("\n"));
  return out.join("\n");
}

Deno.test("a vocabulary is learned, a text prepared by it, a model trained on that, evaluated, and asked to write", () =>
  withTempDir(async (folder) => {
    const at = (name: string) => `${folder}/${name}`;
    await Deno.writeTextFile(at("t.txt"), TEXT);
    assertMatch(
      await succeed("tokenizer", "train", at("t.txt"), "--vocab", "268", "--out", at("tok")),
      /268 tokens/,
    );
    const prepared = await succeed(
      "data",
      "prepare",
      at("t.txt"),
      "--tokenizer",
      at("tok"),
      "--out",
      at("p"),
      "--json",
    );
    const { tokens, tokenizer } = JSON.parse(prepared);
    assertEquals(tokenizer.vocab, 268);
    const model = [...TINY, "--tokenizer", at("tok"), "--steps", "3", "--json"];
    const runs = [[at("t.txt"), at("a")], [at("p.bin"), at("b")]];
    for (const [data, out] of runs) await succeed("train", data, ...model, "--out", out);
    const [one, other] = await Promise.all(
      runs.map(([, out]) => Deno.readFile(`${out}/step-3/model.safetensors`)),
    );
    assertEquals(one, other, "a text, and its tokens, train the same model");
    const evaluated = [];
    for (const data of [at("t.txt"), at("p.bin")]) {
      evaluated.push(
        JSON.parse(await succeed("evaluate", at("a/step-3"), "--data", data, "--dp", "1", "--json")),
      );
    }
    assertEquals(evaluated[0], evaluated[1]);
    const { loss, perplexity, tokens: counted } = evaluated[0];
    assert(Math.abs(Math.exp(loss) / perplexity - 1) < 1e-9 && counted === Math.floor((tokens - 1) / 8) * 8);
    const written = await succeed(
      "generate",
      at("a/step-3"),
      "--prompt",
      "the whale",
      "--tokens",
      "3",
      "--json",
    );
    assertEquals(JSON.parse(written).tokens.length, 3);
    const other_ = await run("train", at("p.bin"), "--init", LLAMA, "--steps", "1", "--out", at("c"));
    assertEquals([other_.code, other_.errors.length], [2, 1]);
  }));

Deno.test("evaluate has the loss of the golden run on its first samples", () =>
  withTempDir(async (folder) => {
    const golden = `${GOLDEN}llama-tiny`;
    await Deno.copyFile(`${golden}/init/config.json`, `${folder}/config.json`);
    await Deno.copyFile(`${golden}/final/model.safetensors`, `${folder}/model.safetensors`);
    const { final_loss_first_4_samples: expected } = JSON.parse(
      await Deno.readTextFile(`${golden}/expected.json`),
    );
    const options = [
      "--data",
      `${golden}/tokens.bin`,
      "--samples",
      "4",
      "--order",
      "sequential",
      "--dp",
      "2",
      "--json",
    ];
    const { loss, tokens } = JSON.parse(await succeed("evaluate", folder, ...options));
    assert(Math.abs(loss - expected) < 5e-6, `${loss}`);
    assertEquals(tokens, 256);
  }));

Deno.test("what these commands cannot use is one line, and exit code 2", () =>
  withTempDir(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.txt`, TEXT);
    const cases: [string[], RegExp][] = [
      [["tokenizer", "train"], /without a text: give its FILE$/],
      [["tokenizer", "learn", "x"], /it is tokenizer train FILE$/],
      [["tokenizer", "train", `${folder}/t.txt`], /without --out DIR/],
      [
        ["tokenizer", "train", `${folder}/t.txt`, "--out", folder, "--vocab", "100"],
        /--vocab 100: it must be a whole/,
      ],
      [["tokenizer", "train", `${folder}/no`, "--out", folder], /no/],
      [["data", "prepare", `${folder}/t.txt`, "--out", folder], /without --tokenizer DIR/],
      [
        ["data", "prepare", `${folder}/t.txt`, "--out", folder, "--tokenizer", folder],
        /it has no tokenizer.json/,
      ],
      [["evaluate", LLAMA], /without --data FILE/],
      [
        ["evaluate", LLAMA, "--data", `${folder}/t.txt`, "--order", "shuffle"],
        /a file is evaluated from its start/,
      ],
      [["evaluate", `${folder}/no`, "--data", `${folder}/t.txt`], /it does not exist/],
      [["generate", LLAMA, "--prompt", "x"], /it has no tokenizer.json/],
      [["merge", LLAMA, "--adapter", `${GOLDEN}llama-lora/adapter_init`], /without --out DIR/],
      [["train", `${folder}/t.txt`, "--tokenizer", `${folder}/no`], /Cannot use --tokenizer/],
    ];
    for (const [args, message] of cases) {
      const { code, errors } = await run(...args);
      assertEquals([code, errors.length], [2, 1], `${args}: ${errors}`);
      assertMatch(errors[0], message);
      assert(!errors[0].includes("\n"));
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["t.txt"]);
  }));

Deno.test("an adapter is trained, merged and written with, by commands", () =>
  withTempDir(async (folder) => {
    const data = `${GOLDEN}llama-tiny/tokens.bin`, out = `${folder}/run`;
    await succeed(
      "train",
      data,
      "--init",
      LLAMA,
      "--lora-rank",
      "2",
      "--steps",
      "2",
      "--json",
      "--out",
      out,
      "--dp",
      "1",
    );
    const names = [...Deno.readDirSync(`${out}/step-2`)].map(({ name }) => name).sort();
    assertEquals(names.slice(0, 2), ["adapter_config.json", "adapter_model.safetensors"]);
    await succeed("merge", LLAMA, "--adapter", out, "--out", `${folder}/merged`);
    const write = (...args: string[]) =>
      succeed(
        "generate",
        ...args,
        "--prompt-ids",
        "5,60,32",
        "--tokens",
        "4",
        "--temperature",
        "0",
        "--json",
      );
    const [merged, adapted] = [await write(`${folder}/merged`), await write(LLAMA, "--adapter", out)];
    assertEquals(merged, adapted);
  }));
