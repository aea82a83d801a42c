import { assertEquals, assertRejects } from "@std/assert";
import {
  createSafetensors,
  layOutTensors,
  openSafetensors,
  readSafetensors,
  writeSafetensors,
} from "../../files/safetensors.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

function encode(header: unknown, data: Uint8Array = new Uint8Array(), headerBytes?: number) {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

async function withFile(bytes: Uint8Array, fn: (path: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    await Deno.writeFile(`${folder}/f`, bytes);
    await fn(`${folder}/f`);
  });
}

function entry(dtype: string, shape: number[], start: number, end: number) {
  return { dtype, shape, data_offsets: [start, end] };
}

Deno.test("writeSafetensors() writes what readSafetensors() reads, also from shared memory", async () => {
  await withTempDir(async (folder) => {
    const path = `${folder}/x.safetensors`;
    const shared = new Float32Array(new SharedArrayBuffer(24));
    shared.set([1, -0, NaN, 1e-45, Infinity, 6]);
    await writeSafetensors(path, [
      { name: "a", shape: [2, 3], data: shared },
      { name: "empty", shape: [0, 7], data: new Float32Array(0) },
      { name: "scalar", shape: [], data: new Float32Array([42]) },
    ]);
    const tensors = await readSafetensors(path);
    assertEquals([...tensors.keys()], ["a", "empty", "scalar"]);
    assertEquals(tensors.get("a")!.shape, [2, 3]);
    const bits = (x: Float32Array) => new Uint32Array(Float32Array.from(x).buffer);
    assertEquals(bits(tensors.get("a")!.data), bits(shared));
    assertEquals(tensors.get("scalar")!.data, new Float32Array([42]));
    for (const name of ["a", "ab", "abc"]) {
      await writeSafetensors(path, [{ name, shape: [1], data: new Float32Array(1) }]);
      const bytes = await Deno.readFile(path);
      assertEquals(bytes[8], "{".charCodeAt(0));
      assertEquals(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0, "data must be aligned");
    }
  });
});

Deno.test("writeSafetensors() writes tensors larger than its write size", async () => {
  await withTempDir(async (folder) => {
    const data = Float32Array.from({ length: 3 * 1024 * 1024 + 5 }, (_, i) => i);
    await writeSafetensors(`${folder}/x`, [{ name: "big", shape: [data.length], data }]);
    assertEquals((await readSafetensors(`${folder}/x`)).get("big")!.data, data);
    await assertRejects(
      () => writeSafetensors(`${folder}/y`, [{ name: "w", shape: [2], data }]),
      RangeError,
      "tensor w: shape [2] needs 2 elements",
    );
  });
});

Deno.test("readSafetensors() turns F16, BF16 and F64 into f32, also at odd places", async () => {
  const data = new Uint8Array([
    0x00,
    0x3c,
    0x00,
    0xc0,
    0x80,
    0x3f,
    0x00,
    0x00,
    0x80,
    0x40,
    0,
    0,
    0,
    0,
    0,
    0,
    8,
    0x40,
  ]);
  const header = JSON.stringify({
    h: entry("F16", [2], 0, 4),
    b: entry("BF16", [1], 4, 6),
    f: entry("F32", [1], 6, 10),
    d: entry("F64", [1], 10, 18),
  });
  for (const pad of ["", " ", "  ", "   "]) {
    await withFile(encode(header + pad, data), async (path) => {
      const tensors = await readSafetensors(path);
      assertEquals(tensors.get("h")!.data, new Float32Array([1, -2]));
      assertEquals(tensors.get("b")!.data, new Float32Array([1]));
      assertEquals(tensors.get("f")!.data, new Float32Array([4]));
      assertEquals(tensors.get("d")!.data, new Float32Array([3]));
    });
  }
});

Deno.test("openSafetensors() skips tensors before it looks at their type", async () => {
  const bytes = encode({ mask: entry("BOOL", [2], 0, 2), w: entry("F32", [1], 2, 6) }, new Uint8Array(6));
  await withFile(bytes, async (path) => {
    assertEquals([...(await openSafetensors(path, (name) => name === "mask")).keys()], ["w"]);
  });
});

Deno.test("openSafetensors() says what is wrong with a file", async () => {
  const four = new Uint8Array(4);
  const cases: [Uint8Array<ArrayBuffer>, string][] = [
    [new Uint8Array(5), "a safetensors file has at least 8 bytes, this one has 5"],
    [encode("{}", four, 1e12), "it is no safetensors file"],
    [encode("{}", four, 999), "it is truncated: the header ends at byte 1007, the file at 14"],
    [encode("{oops"), "its header is not JSON"],
    [encode("[]"), "its header is not a JSON object"],
    [encode({ w: 3 }), "the header entry of w is not an object"],
    [
      encode(
        `{"w": ${JSON.stringify(entry("F32", [1], 0, 4))}, "w": ${JSON.stringify(entry("F32", [1], 0, 4))}}`,
      ),
      "its header names w twice",
    ],
    [
      encode('{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "shape": [1, 1]}}', four),
      "the header entry of w has shape twice",
    ],
    [
      encode({ w: entry("I64", [1], 0, 8) }, new Uint8Array(8)),
      "tensor w has the type I64; supported are F64, F32, F16, BF16",
    ],
    [encode({ w: entry("F32", [-1], 0, 4) }, four), "tensor w has no valid shape"],
    [encode({ w: { dtype: "F32", shape: [1] } }, four), "tensor w has no valid data_offsets"],
    [encode({ w: entry("F32", [2], 0, 4) }, four), "tensor w has 4 bytes, its shape [2] as F32 needs 8"],
    [encode({ w: entry("F32", [2], 0, 8) }, four), "it is truncated: tensor w ends at byte 8 of the data"],
    [encode({ w: entry("F32", [1], 4, 8) }, new Uint8Array(8)), "tensor w starts at byte 4 of the data"],
    [encode({ w: entry("F32", [1], 0, 4) }, new Uint8Array(6)), "2 bytes behind the last tensor"],
  ];
  for (const [bytes, message] of cases) {
    await withFile(bytes, async (path) => {
      const error = await assertRejects(() => openSafetensors(path), UsageError, message);
      assertEquals(error.message.startsWith(`Cannot read ${path}: `), true);
      assertEquals(error.message.includes("\n"), false);
    });
  }
});

Deno.test("createSafetensors() makes room where layOutTensors() says", async () => {
  await withTempDir(async (folder) => {
    const shapes = [["a", [2, 3]], ["empty", [0]], ["b", [1]]] as const, path = `${folder}/x`;
    await createSafetensors(path, shapes);
    assertEquals(await openSafetensors(path), layOutTensors(path, shapes).index);
    assertEquals((await Deno.stat(path)).size, layOutTensors(path, shapes).byteLength);
    assertEquals((await readSafetensors(path)).get("a")!.data, new Float32Array(6));
  });
});

Deno.test("readSafetensors() names a missing file", async () => {
  await assertRejects(
    () => readSafetensors("no/such.safetensors"),
    UsageError,
    "no/such.safetensors: it does not exist",
  );
});
