import { assertEquals, assertThrows } from "@std/assert";
import {
  openSafetensors,
  readTensor,
  type StoredTensor,
  UsageError,
  writeSafetensors,
} from "../../files/mod.ts";
import { stripPrefixes, tieHead } from "../../models/mod.ts";
import { gpt2Shapes } from "../support/gpt2_shapes.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SIZES = { layers: 2, heads: 4, embed: 64, context: 32, vocab: 256, layerNormEpsilon: 1e-5 };
const NAMES = { table: "wte.weight", head: "lm_head.weight" };

function tensor(path: string): StoredTensor {
  return { path, byteOffset: 0, dtype: "F32", shape: [1] };
}

Deno.test("stripPrefixes() takes what wrappers put in front of names, in any order", () => {
  const prefixes = ["", "transformer.", "module.", "_orig_mod.", "model.", "module._orig_mod.transformer."];
  for (const prefix of [...prefixes, "_orig_mod.module.model."]) {
    const names = [...gpt2Shapes(SIZES).keys(), "lm_head.weight"];
    const prefixed = new Map(names.map((name) => [prefix + name, tensor(name)]));
    assertEquals([...stripPrefixes(prefixed, "m").keys()], names, prefix);
  }
  const twice = new Map([["wte.weight", tensor("a")], ["transformer.wte.weight", tensor("b")]]);
  assertThrows(
    () => stripPrefixes(twice, "m"),
    UsageError,
    "Cannot use m: tensors wte.weight and transformer.wte.weight are both wte.weight of the model",
  );
});

/** A head that differs from the table was dropped: the loss of a text was 6.5 instead of 7.0. */
Deno.test("tieHead() takes a head that is the table under its other name, and refuses another one", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/m`,
      data = Float32Array.from({ length: 300_000 }, (_, i) => i),
      shape = [300, 1000];
    const other = data.slice();
    other[299_999] = -1;
    await writeSafetensors(path, [
      { name: "wte.weight", shape, data },
      { name: "same", shape, data },
      { name: "other", shape, data: other },
      { name: "larger", shape: [301, 1000], data: new Float32Array(301_000) },
    ]);
    const index = await openSafetensors(path), table = index.get("wte.weight")!;
    const tie = (head: string, hasTable: boolean) =>
      tieHead(
        new Map([...(hasTable ? [["wte.weight", table] as const] : []), [
          "lm_head.weight",
          index.get(head)!,
        ]]),
        "m",
        NAMES,
      );
    assertEquals([...tie("same", true)], [["wte.weight", table]]);
    assertEquals([...tie("same", false)], [["wte.weight", index.get("same")!]]);
    assertEquals(readTensor(tie("other", false).get("wte.weight")!), other);
    assertEquals(tieHead(new Map([["wte.weight", table]]), "m", NAMES).size, 1);
    const message = "Cannot use m: lm_head.weight differs from wte.weight";
    assertThrows(() => tie("other", true), UsageError, `${message} from element 299999 on`);
    assertThrows(() => tie("larger", true), UsageError, `${message} in its shape [301, 1000]`);
  }));
