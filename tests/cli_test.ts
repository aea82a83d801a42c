/** The command line as a user meets it: one clear line for bad input, exit code 2, nothing half-written. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeVariant } from "./train/support/model_cases.ts";
import { run } from "./support/command.ts";
import { withTempDir } from "./support/temp_dir.ts";

async function writeFiles(folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/empty.txt`, "");
  await Deno.writeTextFile(`${folder}/short.txt`, "too short");
  await Deno.writeFile(`${folder}/odd.bin`, new Uint8Array(2001));
  await Deno.writeFile(`${folder}/large.bin`, new Uint8Array(new Uint16Array(2000).fill(300).buffer));
}

const TINY = ["--layers", "1", "--embed", "8", "--heads", "2", "--context", "8", "--batch", "4", "--dp", "2"];

/** Arguments (DIR stands for the folder of the files), and what the line must say. */
const REFUSED: [string[], RegExp][] = [
  [["train", "DIR/missing.txt"], /Cannot read .*missing\.txt: it does not exist$/],
  [["train", "DIR/empty.txt"], /Cannot train on .*empty\.txt: it is empty$/],
  [["train", "DIR/short.txt"], /too short for a batch/],
  [["train", "DIR/odd.bin"], /its 2001 bytes are no multiple/],
  [
    ["train", "DIR/large.bin", "--vocab", "256"],
    /token 300 .* outside the vocabulary of 256; check that the file/,
  ],
  [["train", "--layer", "2"], /--layer: it does not exist; did you mean --layers\?$/],
  [["train", "--heads", "3"], /--heads 3: it must divide --embed 128/],
  [["train", "--steps", "0"], /--steps 0: it must be a whole number of at least 1$/],
  [["train", "--steps", "-5"], /--steps -5: it must be/],
  [["train", "--dp", "0"], /--dp 0: it must be/],
  [["train", "--batch", "2", "--dp", "4"], /every device needs a sequence/],
  [
    ["train", "--init", "DIR/nothing"],
    /Cannot use .*nothing: it does not exist; give a folder, as nothing is downloaded$/,
  ],
  [["train", "--resume", "DIR/nothing"], /Cannot resume from .*nothing: it does not exist$/],
  [["train", "--lr", "fast"], /--lr fast: it must be a number above 0$/],
  [["train", "--data"], /--data without a value$/],
  [["train", "a.txt", "b.txt"], /argument b\.txt/],
  [
    ["train", ...TINY, "--log", "DIR/no/log.jsonl", "--steps", "1"],
    /its folder does not exist; choose another --log$/,
  ],
  [["train", "--tp", "5", "--dp", "1"], /tp 5: .* 4 units/],
  [["train", "--pp", "9", "--dp", "1", "--micro-batch", "1"], /6 layers over 9 stages/],
  [["train", "--cp", "3", "--dp", "1"], /multiple of 2 x cp: cp is 3$/],
  [["train", "--device-memory", "4MiB"], /--device-memory 4MiB: rank 0 of \d+ needs/],
  [
    ["train", "--pp", "2", "--dp", "1", "--schedule", "DIR/none.csv"],
    /none\.csv: it does not exist; names are gpipe/,
  ],
  [["generate", "--prompt", "x"], /without a model/],
  [["generate", "DIR"], /without --prompt/],
  [["generate", "DIR", "--prompt", "x", "--ids", "1"], /both --prompt and --prompt-ids: give one$/],
  [["generate", "DIR", "a", "--prompt", "x"], /both --prompt and the text: give one$/],
  [["generate", "DIR", "--ids", "1,x"], /--prompt-ids x: it must be a whole number/],
  [["generate", "DIR", "--prompt", "x"], /no config\.json and no model\.safetensors/],
  [
    ["export", "DIR/short.txt", "--onnx", "DIR/m.onnx"],
    /short\.txt: it is a file; give the folder that holds it/,
  ],
  [["train", "--data-changed"], /--data-changed without --resume: only a run that goes on/],
  [["train", "--eval-only"], /--eval-only without a model: add --init DIR or --resume DIR$/],
  [["bench", "nothing"], /give one of matmul, collectives, step, generate$/],
  [["bench", "step", "--record"], /--record without --peers: .*; add --peers$/],
  [["bench", "step", "--peers", "--devices", "3"], /--devices 3 with step --peers: use 1, 2, 4$/],
  [["bench", "collectives", "--devices", "many"], /--devices many: it must be a whole number from 1 to 64$/],
  [["topology", "data(2, data(2))"], /data/],
  [
    ["topology", "data(2)", "--layout", "data(4)"],
    /both LAYOUT \(data\(2\)\) and --layout \(data\(4\)\): give one$/,
  ],
  [["schedule", "interleaved", "--pp", "2", "--micro-batches", "3"], /multiple of p$/],
  [["fly"], /Cannot run fly: commands are train/],
];

for (const [args, message] of REFUSED) {
  Deno.test(`${args.join(" ")} is refused in one line`, async () => {
    await withTempDir(async (folder) => {
      await writeFiles(folder);
      const before = [...Deno.readDirSync(folder)].length;
      const given = args.map((arg) => arg.replace("DIR", folder));
      const isTraining = args[0] === "train" && !args.includes("--help");
      const { code, errors } = await run(...given, ...(isTraining ? ["--out", `${folder}/out`] : []));
      assertEquals([code, errors.length], [2, 1], errors.join("\n"));
      assertMatch(errors[0], message);
      assert(!errors[0].includes("\n") && !errors[0].includes("    at "), "it is one line without a stack");
      assertEquals([...Deno.readDirSync(folder)].length, before, "something was written");
    });
  });
}

Deno.test("train --json prints records only, of steps, evaluations and the end", async () => {
  await withTempDir(async (folder) => {
    const sizes = [
      ...TINY,
      "--steps",
      "3",
      "--eval-every",
      "2",
      "--out",
      folder,
      "--log",
      `${folder}/log.jsonl`,
    ];
    const { code, out, errors } = await run("train", "--json", ...sizes);
    assertEquals([code, errors], [0, []]);
    const records = out.map((line) => JSON.parse(line));
    assertEquals(records.map(({ type }) => type), ["step", "step", "eval", "step", "eval", "done"]);
    assertEquals(await Deno.readTextFile(`${folder}/log.jsonl`), out.join("\n") + "\n");
    assertMatch(records.at(-1).lossHash, /^[0-9a-f]{64}$/);
    const { code: written, out: text } = await run(
      "generate",
      `${folder}/step-3`,
      "--prompt",
      "a",
      "--tokens",
      "4",
      "--json",
    );
    assertEquals([written, JSON.parse(text[0]).tokens.length], [0, 4]);
  });
});

/** `deno task export out`, as the README says it, asked for `out/config.json`. */
Deno.test("generate and export take the folder of a run, and say which checkpoint they use", async () => {
  await withTempDir(async (folder) => {
    const out = `${folder}/out/run-2`;
    assertEquals((await run("train", "--json", ...TINY, "--steps", "1", "--out", out)).code, 0);
    const written = await run("generate", `${folder}/out`, "--ids", "65,66", "--tokens", "3", "--json");
    assertEquals([written.code, written.errors], [0, [`using ${out}/step-1`]]);
    const { prompt, tokens } = JSON.parse(written.out[0]);
    assertEquals([prompt, tokens.length], [[65, 66], 3]);
    const exported = await run("export", `${folder}/out/`, "--onnx", `${folder}/model.onnx`);
    assertEquals([exported.code, exported.errors], [0, [`using ${out}/step-1`]]);
    const evaluated = await run("train", "--eval-only", "--resume", `${folder}/out`);
    assertEquals([evaluated.code, evaluated.errors], [0, []]);
    assertMatch(evaluated.out[0], /^going on from .*run-2\/step-1\n/);
    assertMatch(evaluated.out[1], /^loss 5\.\d{4} over 8,192 tokens, perplexity \d+\.\d\d$/);
    const json = await run("train", "--eval-only", "--json", "--init", out);
    assertEquals([json.code, json.out.length, JSON.parse(json.out[0]).type], [0, 1, "eval"]);
  });
});

/** The sample at the end of a run would feed it bytes, and the run would end with exit code 2. */
Deno.test("train writes no sample with a model whose token ids are those of a tokenizer", async () => {
  await withTempDir(async (folder) => {
    const init = await writeVariant(`${folder}/m`, { files: { "tokenizer.json": "{}" } });
    await Deno.writeFile(`${folder}/t.bin`, new Uint8Array(new Uint16Array(500).fill(65).buffer));
    const options = ["--init", init, "--steps", "1", "--batch", "2", "--dp", "1", "--out", `${folder}/out`];
    const { code, out, errors } = await run("train", `${folder}/t.bin`, ...options);
    assertEquals([code, errors], [0, []]);
    assertMatch(out.join("\n"), /\ndropout \(attn_pdrop 0\.1, .*\) of .* is not applied/);
  });
});

Deno.test("generate writes with a small mixture of experts, and train shows its sample", async () => {
  await withTempDir(async (folder) => {
    const command = [Deno.execPath(), "run", "-A", new URL("../cli.ts", import.meta.url).pathname];
    const mixture = [...TINY, "--experts", "4", "--steps", "3", "--out", folder];
    const { code, stdout } = await new Deno.Command(command[0], {
      args: [...command.slice(1), "train", ...mixture],
    }).output();
    assertEquals(code, 0);
    assertMatch(new TextDecoder().decode(stdout), /A sample:\nIt was /);
    const { code: written, out } = await run(
      ...["generate", `${folder}/step-3`, "--prompt", "a", "--tokens", "4", "--json"],
    );
    assertEquals([written, JSON.parse(out[0]).tokens.length], [0, 4]);
  });
});

Deno.test("a loss that is not finite ends the run with exit code 1 and no checkpoint", async () => {
  await withTempDir(async (folder) => {
    const wild = [
      "--lr",
      "1e30",
      "--grad-clip",
      "0",
      "--warmup",
      "0",
      "--steps",
      "20",
      "--out",
      `${folder}/out`,
    ];
    const { code, errors } = await run("train", "--json", ...TINY, ...wild);
    assertEquals(code, 1);
    assertMatch(errors[0], /training has diverged/);
    assertEquals([...Deno.readDirSync(folder)].length, 0);
  });
});

for (const command of ["train", "generate", "bench", "doctor", "topology", "schedule", "plan"]) {
  Deno.test(`${command} --help says how it is used`, async () => {
    const { code, out } = await run(command, "--help");
    assertEquals(code, 0);
    assertMatch(out.join("\n"), new RegExp(`Usage: ${command}`));
  });
}
