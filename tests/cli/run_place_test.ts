/** Runs that are started again and again: each has a folder, and each says how it goes on. */
import { assertEquals, assertMatch } from "@std/assert";
import { resumeCommand } from "../../cli/run_place.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { Child } from "./support/child.ts";

const TINY = [
  ...[
    "train",
    "--layers",
    "1",
    "--embed",
    "8",
    "--heads",
    "2",
    "--context",
    "8",
    "--batch",
    "2",
    "--dp",
    "1",
  ],
  ...["--warmup", "0", "--eval-every", "0"],
];

Deno.test("resumeCommand() repeats what was given, but not where the weights came from, and quotes for a shell", () => {
  const given = { steps: 9, "min-lr": 0, sp: true, init: "gpt2", overwrite: true, data: "my book's.txt" };
  assertEquals(
    resumeCommand(given, "out/run-1/step-3"),
    `deno task train --steps 9 --min-lr 0 --sp --data 'my book'\\''s.txt' --resume out/run-1/step-3`,
  );
  assertEquals(
    resumeCommand({ resume: "a/step-1", out: "my runs" }, "my runs/step-3"),
    `deno task train --out 'my runs' --resume 'my runs/step-3'`,
  );
});

Deno.test("train can be run again as it is, and goes on where the checkpoint lies", async () => {
  await withTempDir(async (cwd) => {
    const run = async (...args: string[]) => {
      const child = new Child([...TINY, ...args], { cwd });
      return { code: await child.end(), text: child.out + child.errors };
    };
    const first = await run("--steps", "2");
    assertEquals([first.code, (await run("--steps", "2")).code], [0, 0], first.text);
    assertMatch(first.text, /checkpoints go to out\/run-1\n/);
    assertEquals(names(`${cwd}/out`), ["run-1", "run-2"]);
    assertEquals((await run("--steps", "3", "--resume", "out/run-1/step-2")).code, 0);
    assertEquals(names(`${cwd}/out/run-1`), ["step-2", "step-3"]);
    const refused = await run("--steps", "2", "--out", "out/run-1");
    assertEquals(refused.code, 2);
    assertMatch(refused.text, /^error: Cannot write checkpoints to out\/run-1: it has some already/);
  });
});

for (const full of ["--log", "standard output"]) {
  Deno.test({
    name: `a disk that is full under ${full} does not end a run that can be saved`,
    ignore: Deno.build.os !== "linux",
    fn: () =>
      withTempDir(async (folder) => {
        const cli = new URL("../../cli.ts", import.meta.url).pathname;
        const words = [Deno.execPath(), "run", "-A", "--no-lock", "--no-check", cli, ...TINY, "--steps", "3"];
        const end = full === "--log" ? "--log /dev/full" : "> /dev/full";
        const { code, stderr, stdout } = await new Deno.Command("sh", {
          args: ["-c", `exec "$@" --out ${folder}/out ${end}`, "sh", ...words],
          env: { NO_COLOR: "1" },
        }).output();
        const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
        assertEquals([code, names(`${folder}/out`)], [0, ["step-3"]], said);
        assertEquals(
          said.match(/^Cannot write .*: No space left.*; the run goes on without it$/gm)?.length,
          1,
          said,
        );
      }),
  });
}

Deno.test("what cannot be written is refused before the first step", async () => {
  await withTempDir(async (folder) => {
    for (const [option, name] of [["--out", "out"], ["--log", "log.jsonl"]]) {
      const flags = ["--allow-read", "--allow-write=/nowhere"];
      const child = new Child([...TINY, "--steps", "3", option, `${folder}/${name}`], { flags, cwd: folder });
      assertEquals([await child.end(), child.out], [2, ""], child.errors);
      assertMatch(
        child.errors,
        new RegExp(`^error: Cannot write .*${name}: it may not be accessed; choose another ${option}\n$`),
      );
    }
  });
});

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}
