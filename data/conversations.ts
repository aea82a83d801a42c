/**
 * Conversations: a line of JSON for each, of which the answers of the assistant are trained.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import type { ChatTemplate, Message, Tokenizer } from "../tokenizers/mod.ts";

/** What reads conversations. */
export interface ConversationReader {
  /** Makes ids of text. */
  readonly tokenizer: Tokenizer;
  /** Of `messages`; those of `prompt` and `completion` need none. */
  readonly template: ChatTemplate | undefined;
  /** Ends a completion; undefined if the model has no such token. */
  readonly endToken: number | undefined;
}

/** Tokens of a conversation, and which of them are trained. */
export interface TokenizedConversation {
  /** All of it. */
  readonly ids: readonly number[];
  /** For each id whether the model learns to say it: answers, and what ends them. */
  readonly isTrained: readonly boolean[];
}

/** Whether a file holds conversations, by its name. */
export function isConversationFile(name: string): boolean {
  return /\.jsonl$/i.test(name);
}

/**
 * Reads the lines of a file.
 *
 * @param path For messages.
 * @throws {UsageError} Names the first line that is no conversation, or of which nothing would be trained.
 */
export function readConversations(
  text: string,
  path: string,
  reader: ConversationReader,
): TokenizedConversation[] {
  const conversations = text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const fail = (problem: string): never => {
      throw new UsageError(`Cannot train on ${path}: line ${i + 1} ${problem}`);
    };
    const conversation = readLine(line, reader, fail);
    if (!conversation.isTrained.slice(1).includes(true)) {
      fail("has no answer of the assistant: nothing of it would be trained; leave it out");
    }
    return [conversation];
  });
  if (conversations.length > 0) return conversations;
  throw new UsageError(`Cannot train on ${path}: it has no conversation`);
}

type Fail = (problem: string) => never;

function readLine(line: string, reader: ConversationReader, fail: Fail): TokenizedConversation {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(line);
  } catch (error) {
    return fail(`is no JSON: ${(error as Error).message}`);
  }
  const { messages, prompt, completion } = Object(json);
  if (typeof prompt === "string" && typeof completion === "string") {
    return ofPieces(reader, [[prompt, false], [completion, true]], true);
  }
  if (!Array.isArray(messages)) {
    return fail('must be an object with "messages", or with "prompt" and "completion" as texts');
  }
  const broken = messages.findIndex((message) => {
    return typeof message?.role !== "string" || typeof message?.content !== "string";
  });
  if (broken >= 0) fail(`: message ${broken} must have a "role" and a "content", both texts`);
  if (reader.template === undefined) {
    fail(
      'has "messages", and the model has no chat template (chat_template.jinja, or in tokenizer_config.json)',
    );
  }
  return ofPieces(reader, piecesOf(messages, reader.template!, fail), false);
}

/** A text, and whether it is trained. */
type Piece = readonly [text: string, isTrained: boolean];

/**
 * The text of messages, cut where answers begin and end: an answer is what the template writes between what it ends with
 * when it asks for one, and what it ends with when it has it. White space behind the end is none of it.
 */
function piecesOf(messages: readonly Message[], template: ChatTemplate, fail: Fail): Piece[] {
  const whole = template.render(messages, false), pieces: Piece[] = [];
  let place = 0;
  const cut = (end: number, isTrained: boolean) => {
    if (end > place) pieces.push([whole.slice(place, end), isTrained]);
    place = Math.max(place, end);
  };
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const before = template.render(messages.slice(0, i), true),
      after = template.render(messages.slice(0, i + 1), false);
    if (!after.startsWith(before) || !whole.startsWith(after)) {
      fail(
        "cannot be cut into answers: its template writes earlier messages in another way when more follow",
      );
    }
    cut(before.length, false);
    cut(after.trimEnd().length, true);
  });
  cut(whole.length, false);
  return pieces;
}

/**
 * Pieces are encoded apart, as they are when the model is asked: an answer never shares a token with what is before it.
 *
 * @param isBare There is no template: the tokenizer's own ids stand around.
 */
function ofPieces(
  { tokenizer, endToken }: ConversationReader,
  pieces: readonly Piece[],
  isBare: boolean,
): TokenizedConversation {
  const ids: number[] = isBare ? [...tokenizer.special.prefix] : [], isTrained = ids.map(() => false);
  for (const [text, trained] of pieces) {
    for (const id of tokenizer.encode(text)) {
      ids.push(id);
      isTrained.push(trained);
    }
  }
  if (isBare && endToken !== undefined) {
    ids.push(endToken);
    isTrained.push(true);
  }
  return { ids, isTrained };
}
