/** Whose checkpoints are in a folder: runs never mix, and nothing is removed that a run has not written. */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  checkSpace,
  makeRunFolder,
  OutFolder,
  type OutRequest,
  removeOld,
} from "../../checkpoint/out_folder.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

interface Wish {
  readonly resume?: string;
  readonly step?: number;
  readonly init?: string;
  readonly overwrite?: boolean;
}

function request({ resume, step = 0, init, overwrite = false }: Wish): OutRequest {
  return { start: { step, losses: [], folder: resume }, saved: undefined, config: { init, overwrite } };
}

async function tryOut(out: string, wish: Wish): Promise<string[]> {
  const folder = await OutFolder.open(out, request(wish));
  const names = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
  await folder.release();
  return names;
}

async function fill(out: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await Deno.mkdir(`${out}/${name}`, { recursive: true });
    await Deno.writeTextFile(`${out}/${name}/trainer_state.json`, "{}");
  }
}

/** What a run asks for in a folder with step-2, step-4, step-6, and what it is told or finds. */
const CASES: [string, Wish, RegExp | string[]][] = [
  ["a new run", {}, /out: it has some already, up to .*step-6; go on with --resume .*--overwrite$/],
  ["a new run that overwrites", { overwrite: true }, ["mine.txt"]],
  ["one that goes on from the newest", { resume: "out/step-6", step: 6 }, [
    "mine.txt",
    "step-2",
    "step-4",
    "step-6",
  ]],
  [
    "one that goes on from an older",
    { resume: "out/step-4", step: 4 },
    /after step 4 .*newer .*step-6; resume from that/,
  ],
  ["one that drops newer ones", { resume: "out/step-4", step: 4, overwrite: true }, [
    "mine.txt",
    "step-2",
    "step-4",
  ]],
  [
    "another run",
    { resume: "other/step-9", step: 9 },
    /other\/step-9 in .*: it has checkpoints of another run/,
  ],
  ["another run that overwrites", { resume: "other/step-9", step: 9, overwrite: true }, ["mine.txt"]],
  ["a run from weights that it would remove", { init: "out/step-4", overwrite: true }, /it would be removed/],
];

for (const [name, wish, expected] of CASES) {
  Deno.test(`OutFolder: ${name} in a folder with checkpoints`, async () => {
    await withTempDir(async (folder) => {
      const out = `${folder}/out`, at = (path?: string) => path && `${folder}/${path}`;
      await fill(out, ["step-2", "step-4", "step-6", ".tmp-step-7"]);
      await fill(`${folder}/other`, ["step-9"]);
      await Deno.writeTextFile(`${out}/mine.txt`, "");
      const given = { ...wish, resume: at(wish.resume), init: at(wish.init) };
      if (Array.isArray(expected)) return assertEquals(await tryOut(out, given), expected);
      const error = await assertRejects(() => tryOut(out, given), UsageError);
      assertMatch(error.message, expected);
      assertEquals([...Deno.readDirSync(out)].filter(({ name }) => name.startsWith("step-")).length, 3);
    });
  });
}

Deno.test("OutFolder is one run's: a second one is refused until the first has ended", async () => {
  await withTempDir(async (folder) => {
    const out = `${folder}/out`, first = await OutFolder.open(out, request({}));
    await assertRejects(() => tryOut(out, {}), UsageError, "another run writes there");
    await fill(out, ["step-1"]);
    await first.release();
    assertEquals(await tryOut(out, { overwrite: true }), []);
    await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
  });
});

Deno.test("OutFolder refuses a path that is a file", async () => {
  await withTempDir(async (folder) => {
    await Deno.writeTextFile(`${folder}/out`, "");
    await assertRejects(() => tryOut(`${folder}/out`, {}), UsageError, "it is a file; choose another --out");
  });
});

Deno.test("makeRunFolder() gives every run a folder of its own, also those that start together", async () => {
  await withTempDir(async (folder) => {
    await fill(`${folder}/out`, ["run-7", "run-x"]);
    const made = await Promise.all(Array.from({ length: 5 }, () => makeRunFolder(`${folder}/out`)));
    assertEquals(made.map((path) => path.slice(folder.length)).sort(), [
      ...["/out/run-10", "/out/run-11", "/out/run-12", "/out/run-8", "/out/run-9"],
    ]);
  });
});

Deno.test("removeOld() keeps the newest checkpoints", async () => {
  await withTempDir(async (out) => {
    await fill(out, ["step-2", "step-10", "step-9", "step-30"]);
    await removeOld(out, { step: 10, keep: 2 });
    assertEquals([...Deno.readDirSync(out)].map(({ name }) => name).sort(), ["step-10", "step-30", "step-9"]);
  });
});

Deno.test("checkSpace() refuses a disk without room for a checkpoint: twelve bytes a parameter", () => {
  const shapes = new Map([["w", [1024, 1024]], ["b", [1024]]]), saved = { weights: shapes, trained: shapes };
  checkSpace("out", saved, 12 * (1024 * 1024 + 1024));
  assertThrows(
    () => checkSpace("out", saved, 12 * (1024 * 1024 + 1024) - 1),
    UsageError,
    "Cannot write checkpoints to out: one needs 12.0 MiB, its disk has 12.0 MiB free; make room",
  );
});
