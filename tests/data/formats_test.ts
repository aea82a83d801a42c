/** Each of these files was trained on as bytes, or as every second token 0: a loss was printed, and it meant nothing. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type CorpusOptions, loadCorpus } from "../../data/corpus.ts";
import { readVocabSize } from "../../data/nano_gpt.ts";
import { openTokens } from "../../data/tokens.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const CASES = new URL("../cases/data/", import.meta.url).pathname;
const SMALL: CorpusOptions = { context: 4, batch: 2 };

/** Tokens that a path gives. */
async function tokensOf(path: string, options: Partial<CorpusOptions> = {}): Promise<number[]> {
  const { tokens, validationTokens } = await loadCorpus(path, { ...SMALL, ...options });
  assertEquals(validationTokens, undefined);
  using reader = openTokens(tokens);
  return [...reader.read(0, tokens.length)];
}

async function refused(path: string, message: string, options: Partial<CorpusOptions> = {}): Promise<void> {
  const error = await assertRejects(() => loadCorpus(path, { ...SMALL, ...options }), UsageError, message);
  assert(!error.message.includes("\n"));
  assert(!/use --vocab \d/.test(error.message), "advice that leads into the fault");
}

async function withFile(name: string, content: Uint8Array | string, fn: (path: string) => Promise<void>) {
  await withTempDir(async (folder) => {
    const path = `${folder}/${name}`;
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await fn(path);
  });
}

/** Of a width, little-endian. */
function encode(tokens: readonly number[], bytes: 2 | 4 | 8): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(bytes * tokens.length));
  tokens.forEach((token, i) =>
    bytes === 2 ? view.setUint16(2 * i, token, true) : view.setUint32(bytes * i, token, true)
  );
  return new Uint8Array(view.buffer);
}

async function pack(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

const IDS = Array.from({ length: 6000 }, (_, i) => (i * 7919) % 50000);

Deno.test("uint32 in a .bin is refused, and read when it is said", async () => {
  for (const name of ["gpt2_uint32.bin", "small_uint32.bin"]) {
    await refused(
      `${CASES}${name}`,
      "it looks like uint32, as every second uint16 in it is next to 0; use --dtype uint32",
    );
    const tokens = await tokensOf(`${CASES}${name}`, { dtype: "uint32" });
    assertEquals(tokens.length, 6000);
    assert(tokens.filter((token) => token === 0).length < 600);
  }
  // Read by parts, and after a head of zeros.
  const wide = encode([...Array(70_000).fill(0), ...IDS.map((id) => id * 4)], 4);
  await withFile(
    "t.bin",
    wide,
    async (path) => await refused(path, "it looks like uint32", { vocab: 65536 }),
  );
  // Ids above 65535 have an upper half that is not 0.
  await withFile("t.bin", encode(IDS.map((id) => id + 60000), 4), async (path) => {
    await refused(path, "it looks like uint32");
    await refused(path, "outside the vocabulary of 50257", { dtype: "uint32" });
    assertEquals(await tokensOf(path, { dtype: "uint32", vocab: 128256 }), IDS.map((id) => id + 60000));
  });
});

Deno.test("int64 in a .bin is refused with what to do; uint16 that is said is believed", async () => {
  await withFile("t.bin", encode(IDS, 8), async (path) => {
    await refused(path, "it looks like int64");
    assertEquals((await tokensOf(path, { dtype: "uint16" })).length, 4 * IDS.length);
  });
  // Ids of characters are small, and no uint32.
  const characters = IDS.map((id) => id % 65);
  await withFile(
    "t.bin",
    encode(characters, 2),
    async (path) => assertEquals(await tokensOf(path), characters),
  );
  await withFile("t.bin", encode(IDS.slice(1), 2), async (path) => {
    await refused(path, "its 11998 bytes are no multiple", { dtype: "uint32" });
  });
});

Deno.test("llm.c's files have a header, which is no tokens", async () => {
  const tokens = await tokensOf(`${CASES}llmc_gpt2.bin`);
  assertEquals(tokens.length, 6000);
  await refused(`${CASES}llmc_gpt2.bin`, "llm.c's header (20240520) says uint16", { dtype: "uint32" });
  const file = await Deno.readFile(`${CASES}llmc_gpt2.bin`);
  await withFile(
    "t.bin",
    file.subarray(0, 9000),
    async (path) => await refused(path, "its header says 6000 tokens"),
  );
  const version = file.slice();
  version[4] = 9;
  await withFile("t.bin", version, async (path) => await refused(path, "has version 9, known is 1"));
  for (
    const [magic, what] of [[20240326, "a model of llm.c"], [20240522, "an evaluation of llm.c"]] as const
  ) {
    const other = file.slice();
    new DataView(other.buffer).setInt32(0, magic, true);
    await withFile("t.bin", other, async (path) => await refused(path, what, { vocab: 60000 }));
  }
  const header = new Int32Array(256);
  header.set([20240801, 7, IDS.length]);
  const llama = new Uint8Array([...new Uint8Array(header.buffer), ...encode(IDS.map((id) => id + 70000), 4)]);
  await withFile(
    "t.bin",
    llama,
    async (path) => assertEquals(await tokensOf(path), IDS.map((id) => id + 70000)),
  );
});

Deno.test("numpy's files are read by their header", async () => {
  assertEquals((await tokensOf(`${CASES}edufineweb_000000.npy`)).length, 6000);
  const file = await Deno.readFile(`${CASES}edufineweb_000000.npy`);
  const change = (from: string, to: string) => {
    const text = String.fromCharCode(...file).replace(from, to);
    return Uint8Array.from(text, (char) => char.charCodeAt(0));
  };
  await withFile("t.npy", change("<u2", "<f2"), async (path) => await refused(path, "it is an array of <f2"));
  await withFile(
    "t.npy",
    change("(6000,)", "(60, 2)"),
    async (path) => await refused(path, "its shape is (60, 2)"),
  );
  await withFile(
    "t.npy",
    file.subarray(0, 5000),
    async (path) => await refused(path, "it is truncated or damaged"),
  );
  await refused(`${CASES}edufineweb_000000.npy`, "its header (<u2) says uint16", { dtype: "uint32" });
});

Deno.test("what gzip has packed is unpacked: text and tokens", async () => {
  const text = String.fromCharCode(...await tokensOf(`${CASES}text.txt.gz`));
  assert(/^[\x20-\x7e\n]+$/.test(text), text);
  await withFile(
    "t.bin.gz",
    await pack(encode(IDS, 2)),
    async (path) => assertEquals(await tokensOf(path), IDS),
  );
  await withFile(
    "t.bin.gz",
    await pack(encode(IDS, 4)),
    async (path) => await refused(path, "it looks like uint32"),
  );
  const twice = new Uint8Array([...await pack(encode([5, 6], 2)), ...await pack(encode([7], 2))]);
  await withFile("t.txt.gz", twice, async (path) => await refused(path, "it is no text"));
  await withFile("t.bin.gz", twice, async (path) => await refused(path, "3 tokens are too short"));
  const broken = (await pack(encode(IDS, 2))).subarray(0, 4000);
  await withFile("t.txt.gz", broken, async (path) => await refused(path, "Cannot unpack"));
  // A token that begins as gzip does.
  const ids = [0x8b1f, ...IDS.slice(1)];
  await withFile("t.bin", encode(ids, 2), async (path) => assertEquals(await tokensOf(path), ids));
});

Deno.test("text in UTF-16 is decoded, and byte order marks are left out", async () => {
  const text = new TextDecoder().decode(Uint8Array.from(await tokensOf(`${CASES}utf16.txt`)));
  assert(!text.includes("\0") && text.length > 1000 && !text.startsWith("\ufeff"), text.slice(0, 40));
  const bytes = new TextEncoder().encode("\ufeffthe white whale");
  await withFile("t.txt", bytes, async (path) => assertEquals(await tokensOf(path), [...bytes.subarray(3)]));
});

Deno.test("files that are neither text nor tokens are refused by name, with what to do", async () => {
  await refused(`${CASES}rows.jsonl`, "it is JSON, whose keys and braces would be learned");
  const latin = (text: string) => Uint8Array.from(text.padEnd(400, "x"), (char) => char.charCodeAt(0));
  const cases: [name: string, start: string, message: string][] = [
    ["t.txt", "PK\x03\x04", "zip archive"],
    ["t.npz", "PK\x03\x04", "zip archive"],
    ["t.parquet", "PAR1", "Parquet"],
    ["t.arrow", "ARROW1\0\0", "Arrow"],
    ["t.zst", "\x28\xb5\x2f\xfd", "packed by zstd; unpack it first"],
    ["t.xz", "\xfd7zXZ\0", "packed by xz"],
    ["t.bz2", "BZh9", "packed by bzip2"],
    ["t.pdf", "%PDF-1.7", "it is a PDF; extract its text"],
    ["t.pkl", "\x80\x04\x95", "it is a pickle"],
    ["t.h5", "\x89HDF\r\n\x1a\n", "HDF5"],
    ["t.bin", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"],
    ["model.safetensors", '\x10\0\0\0\0\0\0\0{"a":', "safetensors file"],
    ["t.txt", "\n<!DOCTYPE html><html>", "it is a web page"],
    ["t.bin", "Call me Ishmael. ", "it looks like text, as all its bytes are characters; name it .txt"],
    ["t.txt", "some text\0 and more", "it is no text, byte 9 is 0"],
  ];
  for (const [name, start, message] of cases) {
    await withFile(name, latin(start), async (path) => await refused(path, message));
  }
  // Two bytes of a token file may be anything: 640 is a token of GPT-2.
  const ids = [640, ...IDS.slice(1)];
  await withFile("t.bin", encode(ids, 2), async (path) => assertEquals(await tokensOf(path), ids));
  await withFile(
    "t.txt",
    "a text of bytes",
    async (path) => await refused(path, "a text has bytes, and no ids", { dtype: "uint16" }),
  );
  await withFile("tokens.dat", encode(IDS, 4), async (path) => {
    assertEquals(await tokensOf(path, { dtype: "uint32" }), IDS);
  });
  await withFile("t.html", latin("<html>"), async (path) => assertEquals((await tokensOf(path)).length, 400));
  await withFile(
    "t.txt",
    new Uint8Array([0xef, 0xbb, 0xbf]),
    async (path) => await refused(path, "it is empty but for a mark"),
  );
  await refused("/dev/zero", "it is no regular file");
});

Deno.test("meta.pkl beside ids of characters says their number", async () => {
  // Protocol 4 as Python writes {'vocab_size': 65, ...}, and protocol 2 with BINPUT.
  const pickle = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  assertEquals(readVocabSize(pickle("\x80\x04\x95}\x94(\x8c\nvocab_size\x94KA\x8c\x04itos\x94}")), 65);
  assertEquals(readVocabSize(pickle("\x80\x02}q\0(X\n\0\0\0vocab_sizeq\x01M\x2c\x01X")), 300);
  assertEquals(readVocabSize(pickle("\x80\x04}.")), undefined);
  await withTempDir(async (folder) => {
    const path = `${folder}/train.bin`, meta = `${folder}/meta.pkl`;
    await Deno.writeFile(path, encode(IDS.map((id) => id % 65), 2));
    await Deno.writeFile(meta, pickle("\x80\x04}\x94\x8c\nvocab_size\x94KA\x8c\x04itos"));
    const { vocab, statement } = await loadCorpus(path, SMALL);
    assertEquals([vocab, statement.endsWith(`; vocabulary of 65 from ${meta}`)], [65, true]);
    assertEquals((await loadCorpus(path, { ...SMALL, vocab: 70 })).vocab, 70);
    await Deno.writeFile(meta, pickle("\x80\x04}."));
    await refused(path, "it has no vocab_size that can be read; say the vocabulary by --vocab");
  });
});

Deno.test("a val.bin that is too short for a sample is none, and says so", async () => {
  await withTempDir(async (folder) => {
    await Deno.writeFile(`${folder}/train.bin`, encode(IDS, 2));
    await Deno.writeFile(`${folder}/val.bin`, encode([1, 2, 3], 2));
    const { validation, statement } = await loadCorpus(`${folder}/train.bin`, SMALL);
    assertEquals(validation, undefined);
    assert(statement.endsWith("none to validate (val.bin has 3 tokens, a sample needs 5)"), statement);
  });
});
