import { assert, assertEquals } from "@std/assert";
import { loadDirectory } from "../../checkpoint/mod.ts";
import { scoreTexts } from "../../serve/mod.ts";
import { logProbabilitiesOf } from "../support/whole_scores.ts";
import { pool } from "../support/pool.ts";

const folderOf = (name: string) => new URL(`../golden/${name}/init`, import.meta.url).pathname;
const TEXTS = [33, 2, 17].map((length, i) => Array.from({ length }, (_, t) => (7 * t * t + i) % 90));

for (const name of ["llama-tiny", "families/mixtral", "families/mistral_window"]) {
  Deno.test(`scoreTexts() gives the log-probabilities of one pass over each text: ${name}`, async () => {
    const model = await loadDirectory(folderOf(name)), { context } = model.family.sizes(model.config);
    const texts = TEXTS.map((text) => text.slice(0, context + 1));
    const scores = await scoreTexts(folderOf(name), texts, { pool, prefillChunk: 9, maxSequences: 2 });
    for (const [i, text] of texts.entries()) {
      const expected = await logProbabilitiesOf(model, text);
      assertEquals(scores[i].length, text.length - 1);
      scores[i].forEach((score, t) => assert(Math.abs(score - expected[t]) < 1e-5, `${i}, ${t}`));
    }
    assertEquals(await scoreTexts(folderOf(name), texts, { pool, prefillChunk: 64 }), scores);
  });
}
