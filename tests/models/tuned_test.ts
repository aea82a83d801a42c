import { assertEquals } from "@std/assert";
import { phantomHeap } from "../../kernels/mod.ts";
import { adaptedLayer, familyNamed, loadModel, modelOf, tunedPlan, tuningOf } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";

const SIZES = { layers: 1, heads: 2, embed: 8, context: 8, vocab: 32 };
const llama = familyNamed("llama")!, spec = modelOf(llama, llama.configure(SIZES, undefined));
const Q = "model.layers.0.self_attn.q_proj", O = "model.layers.0.self_attn.o_proj";

async function parametersOf(tuning: Parameters<typeof tuningOf>[0]) {
  const scope = Scope.of({ heap: phantomHeap(), seed: 1 });
  for (const layer of (await loadModel({ ...spec, tuning })).layers) layer.build(scope);
  return scope.parameters;
}

Deno.test("a pattern trains the parameters that it is found in, an adapter itself alone, nothing said all", async () => {
  const trained = async (tuning: Parameters<typeof tuningOf>[0]) =>
    (await parametersOf(tuning)).filter(({ isTrained }) => isTrained).map(({ name }) => name);
  assertEquals(await trained({ trained: "^lm_head|norm" }), [
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.post_attention_layernorm.weight",
    ...["model.norm.weight", "lm_head.weight"],
  ]);
  assertEquals(await trained({ adapters: { [Q]: { rank: 2, scale: 1 } } }), [
    `${Q}.lora_A.weight`,
    `${Q}.lora_B.weight`,
  ]);
  assertEquals((await trained({})).length, (await parametersOf({})).length);
});

Deno.test("tunedPlan() splits the side of an adapter that its layer splits", async () => {
  const adapters = { [Q]: { rank: 2, scale: 1 }, [O]: { rank: 2, scale: 1 }, lm_head: { rank: 2, scale: 1 } };
  const plan = tunedPlan((await loadModel(spec)).plan, { adapters });
  assertEquals([plan[`${Q}.lora_A`], plan[`${O}.lora_B`]], [undefined, undefined]);
  assertEquals([plan[`${Q}.lora_B`].kind, plan[`${O}.lora_A`].kind, plan["lm_head.lora_B"].kind], [
    ...["column", "row", "column"],
  ]);
  assertEquals(adaptedLayer(`${Q}.lora_A.weight`), Q);
  assertEquals(adaptedLayer(`${Q}.weight`), undefined);
});
