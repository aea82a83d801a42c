const modules = new Map<string, WebAssembly.Module>();

/** The module of that name, emitted and compiled when an agent asks for it first. */
export function compileOnce(name: string, encode: () => Uint8Array<ArrayBuffer>): WebAssembly.Module {
  let module = modules.get(name);
  if (module === undefined) modules.set(name, module = new WebAssembly.Module(encode()));
  return module;
}

/** The modules of this agent by name. */
export function compiledModules(): ReadonlyMap<string, WebAssembly.Module> {
  return modules;
}

/** Gives this agent the modules of another. */
export function presetModules(compiled: ReadonlyMap<string, WebAssembly.Module>): void {
  for (const [name, module] of compiled) modules.set(name, module);
}
