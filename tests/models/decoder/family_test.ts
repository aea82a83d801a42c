import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../files/mod.ts";
import { decoderFamily } from "../../../models/decoder/family.ts";
import { ConfigFields } from "../../../models/decoder/fields.ts";
import { expertForm, mixturePlan, readMixture } from "../../../models/decoder/mixture.ts";
import { readRope } from "../../../models/decoder/rope_fields.ts";
import { readWindow } from "../../../models/decoder/window_fields.ts";

const SIZES = { layers: 2, heads: 4, embed: 24, context: 8, vocab: 10 };

Deno.test("decoderFamily() makes a configuration of sizes, and keeps what it knows of others", () => {
  const fields = { modelType: "mine", architecture: "Mine" };
  const family = decoderFamily({ name: "Mine", module: import.meta.url, fields });
  const config = family.configure(SIZES);
  assertEquals([config.kvHeads, config.headDim, config.inner, config.tied], [4, 6, 64, false]);
  const known = { ...config, normEpsilon: 0.5, rope: { theta: 7 } };
  const changed = family.configure({ ...SIZES, context: 6, kvHeads: 2, inner: 30 }, known);
  assertEquals(changed, { ...known, context: 6, kvHeads: 2, inner: 30 });
  assertThrows(() => family.configure({ ...SIZES, kvHeads: 3 }), UsageError, "the sizes of a new mine");
});

Deno.test("ConfigFields names the field, its value and what is allowed", () => {
  const fields = new ConfigFields({ a: -1, b: "x", c: [1, -1], d: null }, "c.json");
  assertThrows(
    () => fields.count("a"),
    UsageError,
    "Cannot use c.json: a is -1, it must be a whole number above 0",
  );
  assertThrows(() => fields.flag("b", true), UsageError, `b is "x", it must be true or false`);
  assertThrows(() => fields.indices("c"), UsageError, "c is [1,-1], it must be a list of layers");
  assertThrows(() => fields.amount("a", 0), UsageError, "it must be a number from 0");
  assertEquals([fields.count("d", 3), fields.section("d")], [3, undefined]);
  assertThrows(() => new ConfigFields([], "c.json"), UsageError, "it is not a JSON object");
});

Deno.test("fields of positions, windows and experts are what they are where they are absent", () => {
  const fields = new ConfigFields({}, "c.json");
  assertEquals(readRope(fields, 8, 500), { theta: 500 });
  assertEquals(readWindow(fields, { layers: 2 }, true), {});
  const mixture = readMixture(fields, { naming: "qwen", inner: 4, experts: ["num_experts", 6], choices: 3 });
  assertEquals([mixture.experts, mixture.topKExperts, mixture.capacityFactor], [6, 3, 2]);
  assertEquals(expertForm(mixture, 0.02).outputsFirst, true);
  const layersOf = (denseLayers: number[]) =>
    Object.keys(mixturePlan({ ...mixture, denseLayers }, 3)).filter((name) => name.endsWith("mlp"));
  assertEquals(layersOf([]), ["model.layers.*.mlp"]);
  // A layer inside of a mixture is split otherwise, so layers without one are not named.
  assertEquals(layersOf([1]), ["model.layers.0.mlp", "model.layers.2.mlp"]);
});
