import { assertEquals, assertThrows } from "@std/assert";
import { AXES, Mesh, shareOf } from "../../../strategies/mod.ts";

Deno.test("Mesh counts ranks like digits, the innermost axis fastest", () => {
  const mesh = new Mesh({ dp: 2, pp: 3, tp: 2 });
  assertEquals(mesh.size, 12);
  assertEquals(mesh.coordinates(0), { dp: 0, pp: 0, ep: 0, cp: 0, tp: 0 });
  assertEquals(mesh.coordinates(7), { dp: 1, pp: 0, ep: 0, cp: 0, tp: 1 });
  for (let rank = 0; rank < mesh.size; rank++) assertEquals(mesh.rank(mesh.coordinates(rank)), rank);
});

Deno.test("Mesh line() holds the ranks that differ along one axis", () => {
  const mesh = new Mesh({ dp: 2, pp: 3, tp: 2 });
  assertEquals([mesh.line(7, "dp"), mesh.line(7, "pp"), mesh.line(7, "tp"), mesh.line(7, "cp")], [
    [1, 7],
    [7, 9, 11],
    [6, 7],
    [7],
  ]);
});

Deno.test("Mesh topology() puts every rank in exactly one group of each axis, and all in the world", () => {
  const mesh = new Mesh({ dp: 2, pp: 2, tp: 2 }), { worldSize, groups } = mesh.topology();
  assertEquals(worldSize, 8);
  for (const axis of AXES) {
    const lines = groups.filter(({ name }) => name === axis).map(({ ranks }) => ranks);
    assertEquals(lines.flat().sort(), [0, 1, 2, 3, 4, 5, 6, 7], axis);
    for (const line of lines) assertEquals(line, mesh.line(line[0], axis));
  }
  assertEquals(groups.filter(({ name }) => name === "world").map(({ ranks }) => ranks), [[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
  ]]);
});

Deno.test("Mesh refuses a degree that is no whole number from 1", () => {
  for (const dp of [0, -1, 1.5, NaN]) assertThrows(() => new Mesh({ dp }), RangeError, `dp ${dp}`);
});

Deno.test("shareOf() gives every item to one part, in order, with sizes that differ by one at most", () => {
  for (const [total, parts] of [[0, 3], [1, 3], [7, 3], [12, 4], [5, 5]]) {
    const shares = Array.from({ length: parts }, (_, i) => shareOf(total, parts, i));
    assertEquals([shares[0].start, shares.at(-1)!.end], [0, total]);
    shares.slice(1).forEach(({ start }, i) => assertEquals(start, shares[i].end));
    const sizes = shares.map(({ start, end }) => end - start);
    assertEquals(Math.max(...sizes) - Math.min(...sizes) <= 1, true, sizes.join());
  }
});
