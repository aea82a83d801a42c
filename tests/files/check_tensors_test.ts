import { assertThrows } from "@std/assert";
import { checkTensors, type StoredTensor, UsageError } from "../../files/mod.ts";
import { gpt2Shapes } from "../support/gpt2_shapes.ts";

function tensor(shape: readonly number[]): StoredTensor {
  return { path: "m", byteOffset: 0, dtype: "F32", shape };
}

Deno.test("checkTensors() names what is missing, misshapen or unexpected", () => {
  const shapes = gpt2Shapes({ layers: 2, heads: 4, embed: 64, context: 32, vocab: 256 });
  const good = new Map([...shapes].map(([name, shape]) => [name, tensor(shape)]));
  checkTensors(good, shapes, "m");
  const check = (change: (tensors: Map<string, StoredTensor>) => void, message: string) => {
    const tensors = new Map(good);
    change(tensors);
    assertThrows(() => checkTensors(tensors, shapes, "m"), UsageError, `Cannot use m: ${message}`);
  };
  check((t) => t.delete("ln_f.bias"), "tensor ln_f.bias is missing, expected with shape [64]");
  check(
    (t) => t.set("wpe.weight", tensor([64, 32])),
    "tensor wpe.weight has shape [64, 32], expected is [32, 64]",
  );
  check((t) => t.set("h.2.ln_1.bias", tensor([64])), "tensor h.2.ln_1.bias is not part of this model");
});
