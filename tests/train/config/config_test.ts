import { assertEquals, assertThrows } from "@std/assert";
import { resolveConfig } from "../../../train/config/config.ts";
import type { GivenOptions } from "../../../train/config/options.ts";
import { recipeOf } from "../../../train/config/recipe.ts";
import { unknownOption } from "../../../train/config/option_names.ts";
import { parseBytes } from "../../../train/config/parse_option.ts";
import { UsageError } from "../../../files/usage_error.ts";

const TWO_CORES = { numCores: 2 };

Deno.test("resolveConfig() completes options by defaults", () => {
  const config = resolveConfig({}, TWO_CORES);
  assertEquals(config.layers, 4);
  assertEquals(config.dp, 2);
  assertEquals(config.microBatch, 6);
  assertEquals(config.minLr, 3e-3 / 10);
  assertEquals(config.deviceMemoryBytes, 512 * 2 ** 20);
  assertEquals(config.data, undefined);
  assertEquals(resolveConfig({ batch: 3 }, { numCores: 64 }).dp, 3);
  assertEquals(resolveConfig({ batch: 7 }, TWO_CORES).microBatch, 4);
});

Deno.test("resolveConfig() takes texts of the command line and values of the library alike", () => {
  const text = {
    lr: "3e-4",
    steps: "20",
    "device-memory": "64MiB",
    order: "sequential",
    json: true,
    dp: "1",
  };
  const values = { lr: 3e-4, steps: 20, deviceMemory: 64 * 2 ** 20, order: "sequential", json: true, dp: 1 };
  assertEquals(resolveConfig(text, TWO_CORES), resolveConfig(values, TWO_CORES));
});

Deno.test("resolveConfig() says what is wrong in one line", () => {
  const cases: [GivenOptions, string][] = [
    [{ steps: "0" }, "Cannot use --steps 0: it must be a whole number of at least 1"],
    [{ dp: "0" }, "Cannot use --dp 0: it must be a whole number of at least 1 and of at most 1024"],
    [{ layers: "2.5" }, "Cannot use --layers 2.5: it must be a whole number of at least 1"],
    [{ layers: "" }, 'Cannot use --layers "": it must be a whole number of at least 1'],
    [{ lr: "0" }, "Cannot use --lr 0: it must be a number above 0"],
    [{ lr: "fast" }, "Cannot use --lr fast: it must be a number above 0"],
    [{ lr: NaN }, "Cannot use --lr NaN"],
    [{ steps: true }, "Cannot use --steps true"],
    [{ beta2: "1" }, "Cannot use --beta2 1: it must be a number of at least 0 and below 1"],
    [{ weightDecay: "-1" }, "Cannot use --weight-decay -1: it must be a number of at least 0"],
    [{ order: "random" }, "Cannot use --order random: it must be one of shuffle, sequential"],
    [{ kernels: "cuda" }, "Cannot use --kernels cuda: it must be one of wasm, reference"],
    [{ deviceMemory: "lots" }, "Cannot use --device-memory lots: it must be a size from 1MiB to 4095MiB"],
    [{ deviceMemory: "8GiB" }, "Cannot use --device-memory 8GiB"],
    [{ data: "" }, 'Cannot use --data "": it must be a path'],
    [
      { vocab: 2 ** 25 },
      "Cannot use --vocab 33554432: it must be a whole number of at least 1 and of at most 16777216",
    ],
    [{ heads: 3 }, "Cannot use --heads 3: it must divide --embed 128, as 1, 2, 4, 8, 16, 32, 64 do"],
    [{ batch: 3, dp: 4 }, "Cannot use --batch 3 with --dp 4: every device needs a sequence; use --batch 4"],
    [{ batch: 8, dp: 2, microBatch: 5 }, "Cannot use --micro-batch 5: a device has 4 of the 8 sequences"],
    [{ lr: 1e-4, minLr: 1e-3 }, "Cannot use --min-lr 0.001: it must be at most --lr 0.0001"],
    [{ init: "a", resume: "b" }, "Cannot use --init with --resume"],
    [{ layer: 3 }, "Cannot use option --layer: it does not exist; did you mean --layers?"],
  ];
  for (const [given, message] of cases) {
    const error = assertThrows(() => resolveConfig(given, TWO_CORES), UsageError, message);
    assertEquals(error.message.includes("\n"), false);
  }
});

Deno.test("resolveConfig() takes sizes from the model to load and refuses others", () => {
  const sizes = { layers: 2, heads: 3, embed: 48, context: 32, vocab: 259 };
  const config = resolveConfig({ heads: 3 }, { numCores: 1, sizes });
  assertEquals([config.layers, config.embed, config.vocab], [2, 48, 259]);
  assertThrows(
    () => resolveConfig({ layers: 4 }, { numCores: 1, sizes }),
    UsageError,
    "Cannot use --layers 4: the model to load has 2; leave the option out",
  );
});

Deno.test("resolveConfig() goes on with the recipe of a resumed run, unless told otherwise", () => {
  const first = resolveConfig({ lr: 5e-4, steps: 10, seed: 7, dp: 2, log: "a" }, TWO_CORES);
  const saved = recipeOf(first);
  assertEquals(Object.keys(saved).includes("dp"), false);
  const next = resolveConfig({ steps: 20, dp: 1 }, {
    ...TWO_CORES,
    saved: { ...saved, kernels: "reference" },
  });
  assertEquals(next, { ...first, steps: 20, dp: 1, microBatch: 12, log: undefined, derived: ["minLr"] });
});

Deno.test("parseBytes() reads sizes with binary units", () => {
  assertEquals(["512MiB", "1.5g", "64 KB", "100", "7B"].map(parseBytes), [
    2 ** 29,
    1.5 * 2 ** 30,
    65536,
    100,
    7,
  ]);
  assertEquals(["", "MiB", "-1", "1TiB"].map(parseBytes), [NaN, NaN, NaN, NaN]);
});

Deno.test("unknownOption() points to the help when nothing is near", () => {
  assertEquals(
    unknownOption("--quantum", ["--lr"]).message,
    "Cannot use option --quantum: it does not exist; --help lists all options",
  );
});
