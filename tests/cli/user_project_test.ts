/** A project of a user's own links to a checkout: it says nothing of what it found there. */
import { assertEquals } from "@std/assert";
import { withTempDir } from "../support/temp_dir.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

Deno.test("a project that links to a checkout imports it without a warning", async () => {
  await withTempDir(async (folder) => {
    const links = { links: [ROOT], imports: { "@tessera/tessera": "jsr:@tessera/tessera@^0.1.0" } };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(links));
    await Deno.writeTextFile(
      `${folder}/own.ts`,
      'import { train } from "@tessera/tessera"; console.log(typeof train);',
    );
    const args = ["run", "--no-prompt", "-R", "own.ts"];
    const run = new Deno.Command(Deno.execPath(), { args, cwd: folder, env: { NO_COLOR: "1" } });
    const { stdout, stderr } = await run.output(), text = new TextDecoder();
    assertEquals([text.decode(stderr), text.decode(stdout)], ["", "function\n"]);
  });
});
