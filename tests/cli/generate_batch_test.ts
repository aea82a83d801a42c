/** `generate --batch` as a program calls it. */
import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../support/command.ts";
import { withTempDir } from "../support/temp_dir.ts";

const LLAMA = new URL("../golden/llama-tiny/init", import.meta.url).pathname;

function answer(lines: readonly unknown[], ...options: string[]) {
  return withTempDir(async (folder) => {
    const path = `${folder}/requests.jsonl`;
    await Deno.writeTextFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const { code, out, errors } = await run("generate", LLAMA, "--batch", path, "--json", ...options);
    return { code, answers: out.map((line) => JSON.parse(line)), errors };
  });
}

Deno.test("generate --batch answers each line, with what the line says before what the options say", async () => {
  const lines = [
    { id: "a", promptIds: [65, 66], tokens: 3, temperature: 0, logprobs: true },
    { id: 7, promptIds: [65, 66], temperature: 0 },
    { promptIds: [9], seed: 4 },
  ];
  const { code, answers, errors } = await answer(lines, "--tokens", "5");
  assertEquals([code, errors], [0, []]);
  const [first, second, third] = ["a", "7", "2"].map((id) => answers.find((one) => one.id === id));
  assertEquals([first.tokens.length, first.logprobs.length, first.finish], [3, 3, "length"]);
  assertEquals([second.tokens.slice(0, 3), second.tokens.length, second.logprobs], [
    first.tokens,
    5,
    undefined,
  ]);
  assertEquals(third.tokens.length, 5);
});

const BAD: [line: unknown, message: RegExp][] = [
  [[1], /line 1 of .*: it is not a JSON object such as/],
  [{ promptIds: [1], tokns: 3 }, /"tokns" is no field of a request; there are id, prompt/],
  [{ id: "a" }, /it must have "prompt" or "promptIds"$/],
  [{ prompt: "x", promptIds: [1] }, /it must have "prompt" or "promptIds"$/],
  [{ promptIds: "1" }, /"promptIds" must be a list of numbers$/],
  [{ promptIds: [1], tokens: 0 }, /it must be a whole number of at least 1$/],
  [{ promptIds: [1], stop: 5 }, /"stop" must be a text or a list of them$/],
  [{ promptIds: [1], logprobs: 3 }, /"logprobs" must be true or false$/],
  [{ id: {}, promptIds: [1] }, /"id" must be a text or a number$/],
];

for (const [line, message] of BAD) {
  Deno.test(`generate --batch refuses ${JSON.stringify(line)}`, async () => {
    const { code, answers, errors } = await answer([line]);
    assertEquals([code, answers, errors.length], [2, [], 1]);
    assertMatch(errors[0], message);
  });
}

Deno.test("generate --batch refuses two lines of one id, an empty file, and another prompt beside it", async () => {
  const twice = await answer([{ id: "a", promptIds: [1] }, { id: "a", promptIds: [2] }]);
  assertMatch(twice.errors[0], /line 2 of .*: another line has the id "a"/);
  assertMatch((await answer([])).errors[0], /it has no line$/);
  assertMatch((await answer([{ promptIds: [1] }], "--prompt", "x")).errors[0], /both --prompt and --batch/);
  assertMatch((await answer([{ promptIds: [1] }], "--max-sequences", "0")).errors[0], /--max-sequences 0/);
});
