/**
 * The product of one row with packed weights, as a token that is written asks for: as fast as memory gives the weights.
 * Several panels are read side by side, which memory answers faster than one after the other.
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { emitChain, type Tile } from "./gemm.ts";
import { pointers, range } from "./pack.ts";
import { type I32, type I32Local, type V128Local } from "./values.ts";
import { load } from "./loads.ts";
import { storeVectors } from "./walk.ts";

/** Panels that are read side by side. */
const PANELS = 4;
/** k steps per turn of the loop. */
const UNROLL = 4;

/**
 * Adds to a module `gemmRow(a, b, c, n, kc)`: C = A * packed B for one row of A and whole panels, each sum a chain in the
 * order of k, as those of other products.
 *
 * All addresses are in bytes, all sizes in elements.
 */
export function addSingleRow(module: ModuleBuilder, { vectors, splat }: Tile): void {
  const width = 4 * vectors, tile = { rows: 1, vectors, splat };
  module.func("gemmRow", parameters("i32", "a", "b", "c", "n", "kc"), (k, { a, b, c, n, kc }) => {
    const panelBytes = k.i32(kc.mul(4 * width));
    k.while(n.geS(PANELS * width), () => {
      const panels = pointers(k, b, panelBytes, PANELS),
        sums = panels.map(() => range(vectors, () => k.v128()));
      emitPanels(k, { a: k.i32(a), left: k.i32(kc), panels, sums });
      sums.forEach((row, i) => storeVectors(k, k.i32(c.add(4 * width * i)), row));
      b.set(b.add(panelBytes.mul(PANELS)));
      c.set(c.add(4 * width * PANELS));
      n.set(n.sub(width * PANELS));
    });
    k.while(n, () => {
      const acc = [range(vectors, () => k.v128())];
      emitChain(k, { tile, a, aRows: [k.i32(a)], b, acc, kc: k.i32(kc) });
      storeVectors(k, c, acc[0]);
      c.set(c.add(4 * width));
      n.set(n.sub(width));
    });
  });
}

interface Panels {
  readonly a: I32Local;
  readonly left: I32Local;
  readonly panels: readonly I32Local[];
  readonly sums: readonly (readonly V128Local[])[];
}

function emitPanels(k: Kernel, { a, left, panels, sums }: Panels): void {
  const bytes = 16 * sums[0].length;
  const turn = (count: number) => {
    for (let u = 0; u < count; u++) {
      const value = k.let(load.splat(a, { offset: 4 * u }));
      const at = (panel: I32, j: number) => k.let(load.v128(panel, { offset: u * bytes + 16 * j }));
      panels.forEach((panel, i) => {
        const weights = sums[i].map((_, j) => at(panel, j));
        sums[i].forEach((sum, j) => sum.set(value.madd(weights[j], sum)));
      });
    }
    a.set(a.add(4 * count));
    for (const panel of panels) panel.set(panel.add(bytes * count));
    left.set(left.sub(count));
  };
  k.while(left.geS(UNROLL), () => turn(UNROLL));
  k.while(left, () => turn(1));
}
