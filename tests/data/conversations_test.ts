import { assert, assertEquals, assertThrows } from "@std/assert";
import { MASKED, packConversations, readConversations } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { chatReader, lineOf } from "../support/chat.ts";

const reader = await chatReader(), { tokenizer } = reader;
const read = (...lines: string[]) => readConversations(lines.join("\n"), "c.jsonl", reader);

/** The texts that are trained. */
function trainedText(line: string): string {
  const [{ ids, isTrained }] = read(line);
  return ids.map((id, i) => isTrained[i] ? tokenizer.nameOf(id) : " ").join("").replaceAll(/ +/g, " ").trim();
}

Deno.test("answers of the assistant are trained, with what ends them, and nothing else", () => {
  assertEquals(trainedText(lineOf("Hi", "Yes")), "Yes<|end|>");
  assertEquals(trainedText(lineOf("a", "b", "c", "d")), "b<|end|> d<|end|>");
  assertEquals(trainedText(JSON.stringify({ prompt: "Hi", completion: "Yes" })), "Yes<|end|>");
  const [{ ids }] = read(lineOf("the whale", "the sea"));
  assertEquals(ids, tokenizer.encode("<|user|>the whale<|end|>\n<|assistant|>the sea<|end|>\n"));
});

Deno.test("readConversations() names the line that is no conversation", () => {
  const refuses = (line: string, text: string) => {
    const { message } = assertThrows(
      () => read(lineOf("a", "b"), line),
      UsageError,
      `c.jsonl: line 2 ${text}`,
    );
    assert(!message.includes("\n"));
  };
  refuses("{", "is no JSON");
  refuses("{}", 'must be an object with "messages"');
  refuses('{"messages":[{"role":"user"}]}', ': message 0 must have a "role"');
  refuses(lineOf("only a question"), "has no answer of the assistant: nothing of it would be trained");
  assertThrows(() => read(""), UsageError, "it has no conversation");
  const bare = { ...reader, template: undefined };
  assertThrows(() => readConversations(lineOf("a", "b"), "c", bare), UsageError, "no chat template");
  const forgetful = {
    ...reader,
    template: { render: (messages: readonly unknown[]) => `${messages.length}` },
  };
  assertThrows(
    () => readConversations(lineOf("a", "b"), "c", forgetful),
    UsageError,
    "cannot be cut into answers",
  );
});

Deno.test("packConversations() pads samples, or fills them with conversations that do not see each other", () => {
  const all = read(lineOf("a", "b"), lineOf("c", "d"), lineOf("e", "f")), length = all[0].ids.length - 1;
  const context = 2 * length + 1, apart = packConversations(all, "c", { context }).samples;
  assertEquals([apart.targets.length / context, apart.documents], [3, undefined]);
  const { samples, statement } = packConversations(all, "c", { context, packing: true });
  assertEquals(samples.targets.length / context, 2);
  assertEquals([...samples.documents!.subarray(0, context)], [
    ...Array(length).fill(0),
    ...Array(length).fill(length),
    2 * length,
  ]);
  const numTrained = samples.targets.filter((id) => id !== MASKED).length;
  assertEquals(numTrained, all.reduce((sum, { isTrained }) => sum + isTrained.filter((is) => is).length, 0));
  assertEquals(statement.startsWith(`c: 3 conversations in 2 samples; ${numTrained} of`), true);
  for (const { inputs, targets } of [apart, samples]) {
    targets.forEach((id, i) => {
      if (id === MASKED) return;
      const isInside = (i + 1) % context !== 0 && (samples.documents ?? []).length > 0;
      if (isInside && inputs[i + 1] !== 0) {
        assertEquals(inputs[i + 1] === id || inputs[i + 1] === all[0].ids[0], true);
      }
    });
  }
});

Deno.test("conversations that are too long are refused, or cut if that is asked for", () => {
  const all = read(lineOf("a", "b"), lineOf("a", "the white whale and the sea ".repeat(9)));
  const context = all[0].ids.length;
  assertThrows(() => packConversations(all, "c", { context }), UsageError, "conversation 2 has");
  const { samples, statement } = packConversations(all, "c", { context, truncate: true });
  assertEquals([samples.targets.length / context, statement.includes("1 cut")], [2, true]);
  const late = read(lineOf("the white whale and the sea ".repeat(9), "b"));
  assertThrows(
    () => packConversations(late, "c", { context, truncate: true }),
    UsageError,
    "all trained tokens are cut off",
  );
});
