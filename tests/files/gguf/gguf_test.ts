import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type GgufToWrite,
  openGguf,
  readTensor,
  type TypedValue,
  UsageError,
  writeGguf,
} from "../../../files/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const METADATA = new Map<string, TypedValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["a.count", { type: "u32", value: 4e9 }],
  ["a.small", { type: "i32", value: -7 }],
  ["a.share", { type: "f32", value: 0.5 }],
  ["a.flag", { type: "bool", value: true }],
  ["a.words", { type: "strings", value: ["", "\u0120whale", "\u65e5\u672c"] }],
  ["a.kinds", { type: "i32s", value: [1, -3] }],
  ["a.scores", { type: "f32s", value: [0.25, -1] }],
]);
const VALUES = Float32Array.from({ length: 6 }, (_, i) => i - 2.5);
const FILE: GgufToWrite = {
  metadata: METADATA,
  tensors: [
    {
      name: "first",
      shape: [2, 3],
      dtype: "F32",
      *read() {
        yield new Uint8Array(VALUES.slice(0, 4).buffer);
        yield new Uint8Array(VALUES.slice(4).buffer);
      },
    },
    { name: "second", shape: [2], dtype: "BF16", read: () => [Uint8Array.of(0x80, 0x3f, 0, 0xc0)] },
  ],
};

/** The bytes of a file, changed, as a file. */
async function withBytes(
  change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array,
  check: (path: string) => Promise<void>,
) {
  await withTempDir(async (folder) => {
    writeGguf(`${folder}/whole.gguf`, FILE);
    await Deno.writeFile(`${folder}/changed.gguf`, change(await Deno.readFile(`${folder}/whole.gguf`)));
    await check(`${folder}/changed.gguf`);
  });
}

/** Place of a text in bytes. */
function find(bytes: Uint8Array, text: string): number {
  return String.fromCharCode(...bytes).indexOf(text);
}

Deno.test("openGguf() reads what writeGguf() has written", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/a.gguf`,
      bytes = writeGguf(path, FILE),
      { metadata, tensors } = await openGguf(path);
    assertEquals((await Deno.stat(path)).size, bytes);
    assertEquals([...metadata], [...METADATA].map(([key, { value }]) => [key, value]));
    assertEquals([...tensors].map(([name, { shape, dtype }]) => [name, shape, dtype]), [
      ["first", [2, 3], "F32"],
      ["second", [2], "BF16"],
    ]);
    assertEquals([...tensors.values()].map(readTensor), [VALUES, Float32Array.of(1, -2)]);
  }));

Deno.test("openGguf() says of a file that is cut anywhere that it is truncated", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/a.gguf`;
    writeGguf(path, FILE);
    const bytes = await Deno.readFile(path), end = bytes.length - 28;
    for (let length = 4; length < end; length += 7) {
      await Deno.writeFile(path, bytes.subarray(0, length));
      await assertRejects(() => openGguf(path), UsageError, "it is ");
    }
  }));

Deno.test("openGguf() refuses what is no GGUF, or damaged, in one line", async () => {
  const refused: [(bytes: Uint8Array<ArrayBuffer>) => Uint8Array, string][] = [
    [() => new Uint8Array(0), "it has 0 bytes"],
    [(bytes) => bytes.with(0, 65), "it does not begin with GGUF"],
    [() => new TextEncoder().encode("version https://git-lfs.github.com/spec/v1"), "it is a Git LFS pointer"],
    [(bytes) => bytes.with(4, 1), "its version is 1, supported are 2 and 3"],
    [(bytes) => bytes.with(4, 0).with(7, 3), "its numbers are big-endian"],
    [(bytes) => bytes.with(13, 255), "it is damaged: it would have"],
    [(bytes) => bytes.with(15, 255), "it is damaged"],
    [(bytes) => bytes.with(find(bytes, "a.count") + 7, 99), "the value of a.count is of the unknown type 99"],
    [(bytes) => bytes.with(find(bytes, "second") + 6, 9), "tensor second has 9 dims"],
    [
      (bytes) => bytes.with(find(bytes, "second") + 18, 12),
      "is of the type Q4_K, supported are F32, F16, Q4_0",
    ],
    [(bytes) => bytes.with(find(bytes, "second") + 18, 200), "is of the type number 200"],
    [(bytes) => bytes.with(find(bytes, "second") + 18, 8), "has rows of 2 elements, Q8_0 has blocks of 32"],
    [(bytes) => bytes.with(find(bytes, "second") + 23, 7), "tensor second ends at byte"],
    [(bytes) => bytes.with(find(bytes, "second") + 22, 33), "begins at byte 33, which is no multiple of 32"],
    [(bytes) => bytes.with(find(bytes, "second") + 10, 0), "tensor second has no valid shape: [0]"],
  ];
  for (const [change, message] of refused) {
    await withBytes(change, async (path) => {
      const error = await assertRejects(() => openGguf(path), UsageError, message);
      assertEquals(error.message.includes("\n"), false);
    });
  }
  await withTempDir(async (folder) => {
    await assertRejects(() => openGguf(`${folder}/none.gguf`), UsageError, "it does not exist");
    await assertRejects(() => openGguf(folder), UsageError, "Cannot read");
  });
});

Deno.test("writeGguf() leaves nothing half-written", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/a.gguf`;
    const read = () => {
      throw new Error("the source is gone");
    };
    const tensors = [{ ...FILE.tensors[1], read }];
    assertThrows(() => writeGguf(path, { ...FILE, tensors }), UsageError, "the source is gone");
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  }));
