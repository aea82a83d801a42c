/** Every example runs to its end as its header says; its own assertion is the test. */
import { assertEquals } from "@std/assert";

const folder = new URL("../examples/", import.meta.url);
const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) =>
  /^\d.*\.ts$/.test(name)
);

for (const name of names.sort()) {
  Deno.test(`examples/${name} runs`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-lock",
        "--no-prompt",
        "--allow-read",
        "--allow-write",
        new URL(name, folder).pathname,
      ],
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals(code, 0, `${decode(stdout)}\n${decode(stderr)}`);
  });
}
