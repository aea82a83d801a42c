import { AbsentPeer, type Contestant, type Entry } from "../peer.ts";
import { lastLine, openServed } from "../served_process.ts";
import type { GenerateAnswer, GenerateSetUp, GenerateTask } from "./generate_task.ts";

const NAME = "llama.cpp", PACKAGE = "node-llama-cpp@3.21.1";

/** llama.cpp through node-llama-cpp, under Node.js: with the number of threads that is faster, one or as many as devices. */
export function llamaEntry(setUp: GenerateSetUp): Entry<GenerateTask, GenerateAnswer> {
  return { name: NAME, open: () => openLlama(setUp) };
}

async function openLlama(setUp: GenerateSetUp): Promise<Contestant<GenerateTask, GenerateAnswer>> {
  const root = await Deno.makeTempDir();
  try {
    await install(root);
    const args = [`${root}/llama_cpp.mjs`], close = () => Deno.remove(root, { recursive: true });
    const contestant = await openServed<GenerateTask, GenerateAnswer>({ name: NAME, command: "node", args }, {
      setUp,
    });
    return {
      ...contestant,
      close: async () => {
        await contestant.close();
        await close();
      },
    };
  } catch (error) {
    await Deno.remove(root, { recursive: true });
    throw error;
  }
}

/** Fetches the package into a folder of its own. */
async function install(root: string): Promise<void> {
  await Deno.copyFile(new URL("../peers/llama_cpp_mjs.txt", import.meta.url), `${root}/llama_cpp.mjs`);
  await Deno.writeTextFile(`${root}/package.json`, "{}");
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE];
  try {
    const { success, stderr } = await new Deno.Command("npm", { args, cwd: root }).output();
    if (success) return;
    throw new AbsentPeer(
      lastLine(new TextDecoder().decode(stderr)),
      "check that the npm registry is reachable",
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new AbsentPeer("there is no npm", "install Node.js");
  }
}
