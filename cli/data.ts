import {
  type ConversationReader,
  isConversationFile,
  openBytes,
  openText,
  prepareTokens,
  readConversations,
  textParts,
  type TokenizedConversation,
} from "../data/mod.ts";
import { readText, UsageError } from "../files/mod.ts";
import { conversationReader, textTokenizer } from "../train/mod.ts";
import { type Arguments, parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Turns a text into tokens once, for many runs; or shows what a run would be trained on.

Usage: data prepare FILE --tokenizer DIR --out NAME [--json]
       data show FILE --tokenizer DIR [--samples N]

  --tokenizer DIR   the directory of a tokenizer, or of a model that has one
  --out NAME        NAME.bin gets the tokens, NAME.json says of which text and which tokenizer they are
  --samples N       conversations (.jsonl) to show, or hundreds of tokens of a text [1]
  --json            print NAME.json`;

/** Tokens of a text that are shown for a sample. */
const SHOWN = 100;

/** The command `data`. */
export async function workOnData(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["tokenizer", "out", "samples"],
    flags: ["json"],
    positionals: ["prepare|show", "FILE"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [verb, file] = positionals, { tokenizer: path } = options;
  if (verb !== "prepare" && verb !== "show") {
    throw new UsageError(`Cannot run data ${verb ?? ""}: it is data prepare FILE, or data show FILE`);
  }
  if (file === undefined) throw new UsageError(`Cannot ${verb} data without a FILE: give a text`);
  if (typeof path !== "string") {
    throw new UsageError(`Cannot ${verb} ${file} without --tokenizer DIR: say what makes tokens of it`);
  }
  return verb === "prepare" ? await prepare(file, path, options) : await show(file, path, options);
}

async function prepare(file: string, path: string, { out, json }: Arguments["options"]): Promise<number> {
  if (typeof out !== "string") throw new UsageError("Cannot prepare without --out NAME: say where tokens go");
  const tokenizer = await textTokenizer({}, { tokenizer: path, vocab: undefined });
  const manifest = await prepareTokens({ file, tokenizer, out }), { tokens, dtype, text } = manifest;
  if (json) console.log(JSON.stringify(manifest));
  else {
    const perToken = (text.bytes / tokens).toFixed(2), count = tokens.toLocaleString("en-US");
    console.log(
      `wrote ${out.replace(/\.bin$/, "")}.bin: ${count} tokens of ${dtype}, ${perToken} bytes each`,
    );
  }
  return 0;
}

async function show(file: string, path: string, { samples = "1" }: Arguments["options"]): Promise<number> {
  const count = parseNumber("samples", samples, { min: 1, isInteger: true });
  const reader = await conversationReader({}, { tokenizer: path, vocab: undefined });
  console.log("* = the model learns to say this token");
  if (isConversationFile(file)) {
    const read = readConversations(await readText(file), file, reader);
    read.slice(0, count).forEach((conversation, i) => {
      const trained = conversation.isTrained.filter((is) => is).length;
      console.log(`\nconversation ${i + 1}: ${trained} of ${conversation.ids.length} tokens are trained`);
      showTokens(conversation, reader);
    });
    return 0;
  }
  const [start] = textParts(openText(await openBytes(file)));
  const ids = reader.tokenizer.encode(start.slice(0, 8 * SHOWN * count), true).slice(0, SHOWN * count);
  showTokens({ ids, isTrained: ids.map((_, i) => i > 0) }, reader);
  return 0;
}

function showTokens({ ids, isTrained }: TokenizedConversation, { tokenizer }: ConversationReader): void {
  ids.forEach((id, i) => {
    const text = tokenizer.decode([id]), name = text === "" ? tokenizer.nameOf(id) ?? "" : text;
    console.log(`${isTrained[i] ? "*" : " "} ${String(id).padStart(7)}  ${JSON.stringify(name)}`);
  });
}
