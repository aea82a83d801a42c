/** A task is called from a user's folder: relative paths are that folder's, for every command. */
import { assertEquals, assertMatch } from "@std/assert";
import { withTempDir } from "../support/temp_dir.ts";
import { Child } from "./support/child.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const TINY = [
  ...["train", "book.txt", "--layers", "1", "--embed", "8", "--heads", "2", "--context", "8", "--batch", "2"],
  ...["--dp", "1", "--warmup", "0", "--eval-every", "0", "--steps", "2", "--log", "log.jsonl"],
];

Deno.test("paths of all commands are relative to the folder that a task was called from", async () => {
  await withTempDir(async (folder) => {
    await Deno.writeTextFile(`${folder}/book.txt`, "Call me Ishmael. ".repeat(100));
    await Deno.writeTextFile(`${folder}/own.csv`, "0F0,0B0\n");
    const run = async (...args: string[]) => {
      const child = new Child(args, { cwd: ROOT, env: { INIT_CWD: folder } });
      assertEquals(await child.end(), 0, child.errors);
      return child.out;
    };
    await run(...TINY);
    assertEquals([...Deno.readDirSync(`${folder}/out/run-1`)].map(({ name }) => name), ["step-2"]);
    assertEquals(Deno.readTextFileSync(`${folder}/log.jsonl`).split("\n").length, 4);
    await run("plan", "book.txt");
    assertMatch(
      await run("generate", "out/run-1/step-2", "--tokens", "2", "--json", "--", "-a"),
      /"prompt":"-a"/,
    );
    await run("export", "out/run-1/step-2", "--onnx", "model.onnx");
    assertEquals(Deno.statSync(`${folder}/model.onnx`).isFile, true);
  });
});

Deno.test("INIT_CWD of npm means nothing elsewhere than where tasks run", async () => {
  await withTempDir(async (folder) => {
    await Deno.mkdir(`${folder}/here`);
    await Deno.writeTextFile(`${folder}/here/book.txt`, "Call me Ishmael. ".repeat(100));
    const child = new Child(TINY, { cwd: `${folder}/here`, env: { INIT_CWD: folder } });
    assertEquals(await child.end(), 0, child.errors);
    assertEquals(Deno.statSync(`${folder}/here/out/run-1/step-2`).isDirectory, true);
  });
});
