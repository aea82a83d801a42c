import { assert, assertEquals } from "@std/assert";
import { loadData } from "../../data/mod.ts";
import { resolveConfig } from "../../train/mod.ts";

const config = (options = {}) => resolveConfig({ batch: 4, ...options }, { numCores: 1 });

Deno.test("loadData() without a path loads Moby Dick as bytes", async () => {
  const { spec, vocab } = await loadData(undefined, config());
  assert(spec.kind === "tokens" && spec.tokens.length > 1e6);
  assertEquals(vocab, 256);
});
