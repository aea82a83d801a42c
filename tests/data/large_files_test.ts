/**
 * A .bin of 4 GiB took 4 minutes and three times its size before the first line; nanoGPT's OpenWebText has 17 GB. A
 * file with holes costs no disk: what is not written reads as 0.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { loadCorpus } from "../../data/corpus.ts";
import { fingerprintOf } from "../../data/fingerprint.ts";
import { openSource } from "../../data/source.ts";
import { openTokens } from "../../data/tokens.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GIB = 2 ** 30, OPTIONS = { context: 8, batch: 2 };

/** Writes tokens at places of a file of uint16 that is otherwise empty. */
async function writeSparse(
  path: string,
  numBytes: number,
  runs: Record<number, readonly number[]>,
): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  await file.truncate(numBytes);
  for (const [place, tokens] of Object.entries(runs)) {
    await file.seek(2 * Number(place), Deno.SeekMode.Start);
    await file.write(new Uint8Array(Uint16Array.from(tokens).buffer));
  }
}

Deno.test("tokens beyond 2^32 are read where they are, and a corpus of 20 GiB is opened at once", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/big.bin`, numTokens = 10 * GIB, window = 8 * Math.floor(2 ** 33 / 8 - 3);
    const marks = Array.from({ length: 9 }, (_, i) => 100 + i);
    await writeSparse(path, 2 * numTokens, { 0: [640], [window]: marks, [numTokens - 9]: marks });
    const corpus = await loadCorpus(path, OPTIONS);
    assertEquals(corpus.tokens, { kind: "file", path, byteOffset: 0, dtype: "uint16", length: numTokens });
    assert(corpus.statement.startsWith(`${path}: 9,663,676,416 tokens to train, 1,073,741,824 to validate`));
    using reader = openTokens(corpus.tokens);
    assertEquals([...reader.read(window, 9)], marks);
    assertEquals([...reader.read(numTokens - 9, 9)], marks);
    using source = openSource({ kind: "tokens", context: 8, ...corpus }, {
      order: "sequential",
      seed: 1,
      batch: 1,
    });
    const views = { inputs: new Int32Array(8), targets: new Int32Array(8) };
    source.readTraining(window / 8, 0, 0, views);
    assertEquals([[...views.inputs], [...views.targets]], [marks.slice(0, 8), marks.slice(1)]);
    assert(fingerprintOf({ kind: "tokens", context: 8, ...corpus }).hash.length === 64);
  }));

Deno.test("a file that has become shorter while it is read is named, with the byte", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/t.bin`;
    await writeSparse(path, 2000, { 0: [5, 6, 7] });
    const { tokens } = await loadCorpus(path, OPTIONS);
    using reader = openTokens(tokens);
    reader.read(900, 9);
    await Deno.truncate(path, 1000);
    assertThrows(() => reader.read(900, 9), UsageError, `Cannot read ${path}: it ends at byte 1800`);
    await Deno.remove(path);
    using other = openTokens(tokens);
    assertThrows(() => other.read(0, 1), UsageError, "it does not exist");
  }));

Deno.test("of a large file the first, the last and some blocks between are checked before a run", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/t.bin`, numTokens = GIB / 8;
    for (const place of [3, numTokens - 2]) {
      await writeSparse(path, 2 * numTokens, { 0: [1, 2, 3, 4], [place]: [60000] });
      await assertRejects(
        () => loadCorpus(path, OPTIONS),
        UsageError,
        `token 60000 at position ${place} is outside`,
      );
      await Deno.remove(path);
    }
  }));
