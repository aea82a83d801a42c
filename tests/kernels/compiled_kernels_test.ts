import { assert, assertEquals } from "@std/assert";
import { adoptKernels, compileKernels } from "../../kernels/mod.ts";
import { chooseTile } from "../../kernels/wasm/choose_tile.ts";
import { compileOnce } from "../../kernels/wasm/compile_once.ts";
import { kernelModule } from "../../kernels/wasm/module.ts";

Deno.test("compileKernels() tests and compiles once in an agent", () => {
  const first = compileKernels(), second = compileKernels();
  assert(first.choice === second.choice);
  assert(first.modules.get("peer link") !== undefined);
  assertEquals([...first.modules.values()], [...second.modules.values()]);
});

Deno.test("adoptKernels() makes an agent use what another has compiled", () => {
  const own = compileKernels(), choice = { ...own.choice, reason: "told by the launcher" };
  const module = new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
  adoptKernels({ choice, modules: new Map([["a module of the launcher", module]]) });
  assertEquals(chooseTile().reason, "told by the launcher");
  const failing = () => {
    throw new Error("compiled again");
  };
  assert(compileOnce("a module of the launcher", failing) === module);
  assert(own.modules.get("peer link") === compileKernels().modules.get("peer link"), "others stay");
  adoptKernels(own);
  assert(kernelModule(own.choice.tile) === kernelModule(chooseTile().tile));
});

Deno.test("a worker has the kernels of its launcher", async () => {
  const source = `
    import { adoptKernels } from "${import.meta.resolve("../../kernels/mod.ts")}";
    import { kernelModule } from "${import.meta.resolve("../../kernels/wasm/module.ts")}";
    self.onmessage = ({ data }) => {
      adoptKernels(data);
      const isSame = kernelModule(data.choice.tile) === [...data.modules.values()].find((module) =>
        WebAssembly.Module.exports(module).some(({ name }) => name === "gemmRows"));
      self.postMessage(isSame);
      self.close();
    };`;
  const url = URL.createObjectURL(new Blob([source], { type: "application/javascript" }));
  const worker = new Worker(url, { type: "module" });
  const answer = new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
  worker.postMessage(compileKernels());
  assertEquals(await answer, true);
  URL.revokeObjectURL(url);
});
