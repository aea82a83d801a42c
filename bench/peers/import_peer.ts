import { AbsentPeer } from "../peer.ts";

/**
 * Fetches and loads an npm package of a peer.
 *
 * The specifier is a value, not written in an import, so that nobody fetches the package who does not measure it, and
 * it is no dependency of ours.
 *
 * @throws {AbsentPeer} If it cannot be had.
 */
export async function importPeer<Module>(specifier: string): Promise<Module> {
  try {
    return await import(specifier) as Module;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new AbsentPeer(
      `${specifier} cannot be loaded (${reason})`,
      "check that the npm registry is reachable",
    );
  }
}
