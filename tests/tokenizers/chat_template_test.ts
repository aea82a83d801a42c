import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { chatTemplate, openChatTemplate } from "../../tokenizers/mod.ts";
import { CHAT_ML } from "../support/chat.ts";
import { withTempDir } from "../support/temp_dir.ts";

const MESSAGES = [{ role: "user", content: "Hi" }, { role: "assistant", content: "Yes" }];

Deno.test("chatTemplate() writes messages, and what comes before an answer", async () => {
  const template = await chatTemplate(`{{ bos_token }}${CHAT_ML}`, {
    path: "m",
    tokens: { bos_token: "<s>" },
  });
  assertEquals(template.render(MESSAGES, false), "<s><|user|>Hi<|end|>\n<|assistant|>Yes<|end|>\n");
  assertEquals(template.render(MESSAGES.slice(0, 1), true), "<s><|user|>Hi<|end|>\n<|assistant|>");
});

Deno.test("openChatTemplate() reads a file of its own before tokenizer_config.json, which may have several", () =>
  withTempDir(async (from) => {
    const open = async (files: Record<string, unknown>) => {
      for (const [name, content] of Object.entries(files)) {
        await Deno.writeTextFile(
          `${from}/${name}`,
          typeof content === "string" ? content : JSON.stringify(content),
        );
      }
      return (await openChatTemplate({ from, files: Object.keys(files), config: {} }))?.render(
        MESSAGES,
        false,
      );
    };
    assertEquals(await open({}), undefined);
    const config = { chat_template: "one {{ eos_token }}", eos_token: { content: "</s>" } };
    assertEquals(await open({ "tokenizer_config.json": config }), "one </s>");
    assertEquals(await open({ "tokenizer_config.json": config, "chat_template.jinja": "two" }), "two");
    const several = [{ name: "tool_use", template: "a" }, { name: "default", template: "b" }];
    assertEquals(await open({ "tokenizer_config.json": { chat_template: several } }), "b");
  }));

Deno.test("what a template says against messages, and what is none, is one line", async () => {
  const picky = await chatTemplate("{{ raise_exception('roles must alternate') }}", { path: "m" });
  const { message } = assertThrows(() => picky.render(MESSAGES, false), UsageError, "roles must alternate");
  assert(!message.includes("\n"));
  await assertRejects(
    () => chatTemplate("{% if %}", { path: "m" }),
    UsageError,
    "Cannot use the chat template of m",
  );
});
