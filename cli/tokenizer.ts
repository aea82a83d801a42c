import { openBytes, openText, textParts } from "../data/mod.ts";
import { fileProblem, UsageError } from "../files/mod.ts";
import {
  bpeFiles,
  END_OF_TEXT,
  learnMerges,
  splitText,
  tokenizerTexts,
  WordCounts,
} from "../tokenizers/mod.ts";
import { parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Learns a vocabulary.

Usage: tokenizer train FILE --vocab N --out DIR [OPTIONS]

  --vocab N    tokens: 256 bytes, what merges make, and ${END_OF_TEXT} [4096]
  --out DIR    where tokenizer.json goes, made if it is not there
  --json       print one JSON line that says what was learned`;

/** Fewer are no vocabulary: all bytes, and the end of a text. */
const LEAST = 257, MOST = 1 << 20;

/** The command `tokenizer`. */
export async function learnTokenizer(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["vocab", "out"],
    flags: ["json"],
    positionals: ["train", "FILE"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const [verb, file] = positionals, { out, vocab: asked = "4096" } = options;
  if (verb !== "train") {
    throw new UsageError(`Cannot run tokenizer ${verb ?? ""}: it is tokenizer train FILE`);
  }
  if (file === undefined) throw new UsageError("Cannot learn a tokenizer without a text: give its FILE");
  if (typeof out !== "string") {
    throw new UsageError("Cannot learn a tokenizer without --out DIR: say where it goes");
  }
  const vocab = parseNumber("vocab", String(asked), { min: LEAST, max: MOST, isInteger: true });
  const text = openText(await openBytes(file)), words = new WordCounts();
  for (const piece of splitText(textParts(text), true)) words.add(piece);
  const merges = learnMerges(words.counts, vocab - LEAST), size = merges.length + LEAST, end = size - 1;
  const generation = JSON.stringify({ bos_token_id: end, eos_token_id: end }, null, 1) + "\n";
  await writeFiles(out, { ...tokenizerTexts(bpeFiles(merges)), "generation_config.json": generation });
  if (options.json) console.log(JSON.stringify({ out, vocab: size, words: words.counts.size }));
  else {
    const fewer = size < vocab ? `; no pair is left that is there twice, so not ${vocab}` : "";
    console.log(`wrote ${out}: ${size} tokens from ${words.counts.size} different words${fewer}`);
  }
  return 0;
}

async function writeFiles(out: string, files: Readonly<Record<string, string>>): Promise<void> {
  try {
    await Deno.mkdir(out, { recursive: true });
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${out}/${name}`, text);
  } catch (error) {
    throw new UsageError(`Cannot write the tokenizer to ${out}: ${fileProblem(error)}; choose another --out`);
  }
}
