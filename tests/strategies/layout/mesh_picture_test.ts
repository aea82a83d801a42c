import { assert, assertEquals } from "@std/assert";
import { AXES, Mesh } from "../../../strategies/layout/mesh.ts";
import { drawMesh } from "../../../strategies/layout/mesh_picture.ts";

Deno.test("drawMesh() draws three axes, their groups, and what these divide", () => {
  assertEquals(
    drawMesh(new Mesh({ dp: 2, pp: 2, tp: 2 })),
    `8 devices: dp 2 x pp 2 x tp 2

             tp 0  tp 1
dp 0  pp 0      0     1
      pp 1      2     3

dp 1  pp 0      4     5
      pp 1      6     7

tp divides every weight matrix: 0 1 | 2 3 | 4 5 | 6 7
pp divides the layers: 0 2 | 1 3 | 4 6 | 5 7
dp divides the batch, each member has the whole model: 0 4 | 1 5 | 2 6 | 3 7`,
  );
});

Deno.test("drawMesh() says what the tensor axis divides under sequence parallelism", () => {
  const lines = drawMesh(new Mesh({ dp: 2, tp: 2 }), { sp: true }).split("\n");
  assertEquals(lines.slice(-2), [
    "tp divides every weight matrix, and the rows between them (sp): 0 1 | 2 3",
    "dp divides the batch, each member has the whole model: 0 2 | 1 3",
  ]);
});

Deno.test("drawMesh() draws one device and one axis", () => {
  assertEquals(drawMesh(new Mesh({})), "1 device: rank 0 holds everything");
  assertEquals(
    drawMesh(new Mesh({ pp: 3 })),
    `3 devices: pp 3

 pp 0  pp 1  pp 2
    0     1     2

pp divides the layers: 0 1 2`,
  );
});

Deno.test("drawMesh() shows every rank once in its table, in short lines, for up to 64 devices", () => {
  const degrees = [1, 2, 3, 4, 8, 16, 64];
  let numDrawn = 0;
  for (const dp of degrees) {
    for (const pp of degrees) {
      for (const [ep, cp, tp] of [[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 2, 2], [1, 1, 64]]) {
        const mesh = new Mesh({ dp, pp, ep, cp, tp });
        if (mesh.size > 64 || mesh.size === 1) continue;
        const lines = drawMesh(mesh).split("\n");
        assert(lines.every((line) => line.length <= 100), lines.join("\n"));
        const numAxes = AXES.filter((axis) => mesh.degrees[axis] > 1).length;
        const groups = lines.findIndex((line) => line.includes(" divides "));
        const rows = lines.slice(2, groups).filter((line) =>
          !/^ *(?:[a-z]{2} \d+ *)+$/.test(line) || /\d +\d/.test(line)
        );
        const ranks = rows.flatMap((line) =>
          line.slice(6 * (numAxes - 1)).replace(/[a-z]{2} \d+/g, "").match(/\d+/g) ?? []
        );
        assertEquals(
          ranks.map(Number).sort((a, b) => a - b),
          Array.from({ length: mesh.size }, (_, rank) => rank),
        );
        numDrawn++;
      }
    }
  }
  assert(numDrawn > 50, `${numDrawn} meshes`);
});
