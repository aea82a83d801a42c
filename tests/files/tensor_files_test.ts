import { assertEquals, assertThrows } from "@std/assert";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import {
  checkFinite,
  findDifference,
  readTensor,
  TensorReader,
  TensorWriter,
} from "../../files/tensor_files.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** More than two blocks of the reader. */
const LARGE = Float32Array.from({ length: 600_001 }, (_, i) => i);

async function withTensors(fn: (path: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    const path = `${folder}/t.safetensors`, small = Float32Array.of(7, 8, 9);
    await writeSafetensors(path, [
      { name: "small", shape: [3], data: small },
      { name: "large", shape: [LARGE.length], data: LARGE },
    ]);
    await fn(path);
  });
}

Deno.test("TensorReader reads any range, forwards, backwards, over blocks and tensors", () =>
  withTensors(async (path) => {
    const index = await openSafetensors(path), large = index.get("large")!, small = index.get("small")!;
    using reader = new TensorReader();
    for (const [start, length] of [[0, 5], [262_140, 10], [3, 600_000 - 3], [600_000, 1], [1, 2], [9, 0]]) {
      const values = new Float32Array(new SharedArrayBuffer(4 * length));
      reader.read(large, start, values);
      assertEquals([values[0], values.at(-1)], [
        LARGE.subarray(start, start + length)[0],
        LARGE.subarray(start, start + length).at(-1),
      ]);
      assertEquals(values.every((value, i) => value === start + i), true);
    }
    const two = new Float32Array(2);
    reader.read(small, 1, two);
    assertEquals([...two], [8, 9]);
    assertThrows(() => reader.read(small, 2, two), RangeError, "No element 3");
  }));

Deno.test("TensorWriter writes ranges to their places and nothing else", () =>
  withTensors(async (path) => {
    const index = await openSafetensors(path), large = index.get("large")!;
    using writer = new TensorWriter();
    writer.write(large, 262_143, Float32Array.of(-1, -2));
    const shared = new Float32Array(new SharedArrayBuffer(4));
    writer.write(large, 600_000, shared);
    const expected = LARGE.slice();
    expected.set([-1, -2], 262_143);
    expected[600_000] = 0;
    assertEquals(readTensor(large), expected);
    assertEquals([...readTensor(index.get("small")!)], [7, 8, 9]);
  }));

Deno.test("a file that has become shorter since it was opened is named, with the byte", () =>
  withTensors(async (path) => {
    const large = (await openSafetensors(path)).get("large")!;
    await Deno.truncate(path, large.byteOffset + 10);
    assertThrows(
      () => readTensor(large),
      UsageError,
      `Cannot read ${path}: it ends at byte ${large.byteOffset + 10}`,
    );
  }));

/** A NaN in a weight gave token -1 with exit code 0, and in training the advice to lower the rate. */
Deno.test("checkFinite() names the tensor and the element that is not a number, or not finite", () =>
  withTensors(async (path) => {
    const index = await openSafetensors(path), large = index.get("large")!;
    checkFinite(index);
    using writer = new TensorWriter();
    for (const value of [NaN, Infinity, -Infinity]) {
      writer.write(large, 500_000, Float32Array.of(value));
      assertThrows(() => checkFinite(index), UsageError, `element 500000 of tensor large is ${value}`);
    }
  }));

Deno.test("findDifference() finds the first element whose bits differ, whatever the tensors are stored as", () =>
  withTensors(async (path) => {
    const index = await openSafetensors(path), large = index.get("large")!;
    const copy = `${path}.copy`;
    await Deno.copyFile(path, copy);
    const other = { ...large, path: copy };
    assertEquals([findDifference(large, large), findDifference(large, other)], [-1, -1]);
    using writer = new TensorWriter();
    writer.write(other, 600_000, Float32Array.of(-1));
    assertEquals(findDifference(large, other), 600_000);
    writer.write(other, 0, Float32Array.of(-0));
    assertEquals(findDifference(large, other), 0);
  }));
