import { peerLinkModule } from "./peer_link.ts";
import { chooseTile, presetTile, type TileChoice } from "./wasm/choose_tile.ts";
import { compiledModules, presetModules } from "./wasm/compile_once.ts";
import { kernelModule } from "./wasm/module.ts";

/** What the agents of a process share of the kernels: to be posted to workers, which then share the machine code. */
export interface CompiledKernels {
  /** The result of the self-test. */
  readonly choice: TileChoice;
  /** Compiled modules by name. */
  readonly modules: ReadonlyMap<string, WebAssembly.Module>;
}

/**
 * Runs the self-test and compiles the kernels, unless this agent has done so before.
 *
 * Cost: about 100 ms the first time, most of it in emitting the bytes.
 */
export function compileKernels(): CompiledKernels {
  const choice = chooseTile();
  kernelModule(choice.tile);
  peerLinkModule();
  return { choice, modules: compiledModules() };
}

/** Uses what another agent has tested and compiled. */
export function adoptKernels({ choice, modules }: CompiledKernels): void {
  presetTile(choice);
  presetModules(modules);
}
