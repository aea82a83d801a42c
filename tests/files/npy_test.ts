import { assertEquals } from "@std/assert";
import { isNpy, readNpyHeader } from "../../files/npy.ts";

/** A header as numpy writes it, padded to a multiple of 64. */
function header(version: 1 | 2 | 3, text: string): Uint8Array {
  const start = version === 1 ? 10 : 12, total = Math.ceil((start + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(total).fill(0x20), view = new DataView(bytes.buffer);
  bytes.set(Array.from(`\x93NUMPY`, (char) => char.charCodeAt(0)));
  bytes.set([version, 0], 6);
  if (version === 1) view.setUint16(8, total - start, true);
  else view.setUint32(8, total - start, true);
  bytes.set(new TextEncoder().encode(text), start);
  bytes[total - 1] = 0x0a;
  return bytes;
}

Deno.test("readNpyHeader() reads versions 1 to 3", () => {
  for (const version of [1, 2, 3] as const) {
    const bytes = header(version, "{'descr': '<u2', 'fortran_order': False, 'shape': (6000,), }");
    assertEquals(readNpyHeader(bytes), {
      descr: "<u2",
      isFortranOrder: false,
      shape: [6000],
      byteOffset: 128,
    });
  }
  const matrix = header(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }");
  assertEquals(readNpyHeader(matrix), { descr: "<f4", isFortranOrder: true, shape: [3, 4], byteOffset: 128 });
  const scalar = header(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }");
  assertEquals(readNpyHeader(scalar)!.shape, []);
});

Deno.test("readNpyHeader() gives nothing for what is none, or is cut", () => {
  const bytes = header(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (6000,), }");
  assertEquals([isNpy(bytes), isNpy(bytes.subarray(1))], [true, false]);
  assertEquals(readNpyHeader(bytes.subarray(0, 100)), undefined);
  assertEquals(readNpyHeader(bytes.subarray(0, 8)), undefined);
  assertEquals(
    readNpyHeader(header(1, "{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1,)}")),
    undefined,
  );
});
