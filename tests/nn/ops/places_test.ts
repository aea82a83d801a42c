import { assertEquals } from "@std/assert";
import { firstKeysOf, positionsOf, Tape } from "../../../nn/mod.ts";
import { makeBackend } from "../../support/device.ts";

Deno.test("firstKeysOf() is nothing, the window's, the documents', or the later of both", () => {
  const backend = makeBackend(), { heap } = backend, tape = new Tape({ backend, training: false });
  assertEquals(firstKeysOf(tape, undefined, [2, 4]), {});
  const window = firstKeysOf(tape, 2, [2, 4]);
  assertEquals([[...heap.i32(window.firstKeys!)], window.strideFirstKeys], [[0, 0, 1, 2], 0]);
  const packed = new Tape({ backend, training: false });
  packed.documents = packed.input("documents", [1, 4], "i32");
  heap.i32(packed.documents.span).set([0, 0, 2, 2]);
  assertEquals(firstKeysOf(packed, undefined, [1, 4]).firstKeys, packed.documents.span);
  const both = firstKeysOf(packed, 1, [1, 4]), places = positionsOf(packed, [1, 4])!;
  packed.forward();
  assertEquals([...heap.i32(both.firstKeys!)], [0, 1, 2, 3]);
  assertEquals([...heap.i32(places.span)], [0, 1, 0, 1]);
});
