/** A small model with a vocabulary and a chat template, for tests of conversations. */
import {
  bpeFiles,
  chatTemplate,
  hubTokenizer,
  learnMerges,
  tokenizerTexts,
  WordCounts,
} from "../../tokenizers/mod.ts";
import type { ConversationReader } from "../../data/mod.ts";

/** Writes messages between their role and `<|end|>`. */
export const CHAT_ML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|assistant|>{% endif %}";
/** Roles and the end, which are tokens. */
export const ROLES = ["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"];

/** The files of a directory of a tokenizer with this template. */
export function chatFiles(): Record<string, string> {
  const words = new WordCounts();
  words.add("the white whale and the sea, what is it that you see? ".repeat(9));
  const { tokenizer, config } = bpeFiles(learnMerges(words.counts, 20));
  const model = tokenizer.model as { vocab: Record<string, number> },
    added = tokenizer.added_tokens as object[];
  const first = Object.keys(model.vocab).length;
  const special = ROLES.map((content, i) => ({ ...added[0], content, id: first + i }));
  const generation = JSON.stringify({ eos_token_id: first + ROLES.indexOf("<|end|>") });
  return {
    ...tokenizerTexts({
      tokenizer: { ...tokenizer, added_tokens: [...added, ...special] },
      config: { ...config, chat_template: CHAT_ML },
    }),
    "generation_config.json": generation,
  };
}

/** Reads conversations with these files. */
export async function chatReader(): Promise<ConversationReader> {
  const files = chatFiles(), parse = (name: string) => JSON.parse(files[name]);
  const tokenizer = await hubTokenizer({
    tokenizer: parse("tokenizer.json"),
    config: parse("tokenizer_config.json"),
  }, "chat");
  const template = await chatTemplate(CHAT_ML, { path: "chat" });
  return { tokenizer, template, endToken: tokenizer.idOf("<|end|>") };
}

/** A line of a file of conversations. */
export function lineOf(...turns: string[]): string {
  const messages = turns.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
  return JSON.stringify({ messages });
}
