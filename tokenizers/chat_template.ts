/**
 * Chat templates: how messages become the text that a model was trained with.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import { hasFile, readPlaceText, readTokenizerConfig, type TokenizerPlace } from "./open_tokenizer.ts";

/** One message of a conversation. */
export interface Message {
  /** `system`, `user`, `assistant`, or what the template knows. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
}

/** Turns messages into text. */
export interface ChatTemplate {
  /**
   * The text of messages.
   *
   * @param asksForAnswer Ends with what comes before an answer of the assistant.
   * @throws {UsageError} If the template does not take them: one line.
   */
  render(messages: readonly Message[], asksForAnswer: boolean): string;
}

/** A file of its own, which newer models have. */
const FILE = "chat_template.jinja";

/**
 * The chat template of a model's directory; undefined if it has none.
 *
 * @throws {UsageError} If it cannot be read.
 */
export async function openChatTemplate(place: TokenizerPlace): Promise<ChatTemplate | undefined> {
  const { from } = place, config = await readTokenizerConfig(place);
  const text = hasFile(place, FILE) ? await readPlaceText(place, FILE) : defaultOf(config.chat_template);
  if (text === undefined) return undefined;
  const named = Object.entries(config).filter(([key]) => key.endsWith("_token"));
  const tokens = Object.fromEntries(named.map(([key, token]) => [key, contentOf(token)]));
  return await chatTemplate(text, { path: from, tokens });
}

/**
 * A chat template of text.
 *
 * @param path For messages.
 * @param tokens Names of special tokens, by the names that templates have for them: `bos_token`.
 * @throws {UsageError} If it is none.
 */
export async function chatTemplate(
  text: string,
  { path, tokens = {} }: { readonly path: string; readonly tokens?: Readonly<Record<string, unknown>> },
): Promise<ChatTemplate> {
  const { Template } = await import("@huggingface/jinja");
  const guarded = <Result>(run: () => Result): Result => {
    try {
      return run();
    } catch (error) {
      const problem = (error instanceof Error ? error.message : String(error)).split("\n")[0];
      throw new UsageError(`Cannot use the chat template of ${path}: ${problem}`);
    }
  };
  const template = guarded(() => new Template(text));
  return {
    render: (messages, asksForAnswer) =>
      guarded(() =>
        template.render({
          ...tokens,
          messages: [...messages],
          add_generation_prompt: asksForAnswer,
        })
      ),
  };
}

/** A template, or that of the name `default` among several. */
function defaultOf(template: unknown): string | undefined {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return undefined;
  const found = template.find((entry) => entry?.name === "default") ?? template[0];
  return typeof found?.template === "string" ? found.template : undefined;
}

function contentOf(token: unknown): unknown {
  return typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token;
}
