import { now } from "../clock.ts";
import { createDeviceMemory, DeviceHeap } from "../memory/heap.ts";
import { type Kernels, ModuleBuilder } from "./builder.ts";
import { addGemm, NARROW_TILE, type Tile, WIDE_TILE } from "./gemm.ts";
import { Matmul } from "./matmul.ts";
import { emptyProduct, type Product } from "./product.ts";
import { areSettled, TrialTimes } from "./tile_trial.ts";

/** The tile that is faster here, and why it was chosen. */
export interface TileChoice {
  /** The faster one. */
  readonly tile: Tile;
  /** Both figures, in a line. */
  readonly reason: string;
  /** 10^9 operations a second of the narrow tile. */
  readonly narrowGflops: number;
  /** 10^9 operations a second of the wide tile. */
  readonly wideGflops: number;
}

/** The product that is timed: 1 million operations, in L1 and L2; whole strips of both tiles. */
const SIZE = { m: 60, n: 64, k: 128 };
/** Longest test; most take 60 ms. */
const TRIAL_MS = 500;

let choice: TileChoice | undefined;

/**
 * Checks both tiles on a product whose result is known, times them and picks the faster one; once per agent.
 *
 * The choice changes the speed and no bit of any result.
 *
 * @throws {Error} If a product is wrong.
 */
export function chooseTile(): TileChoice {
  return choice ??= runSelfTest();
}

/** Takes over the choice of another agent. */
export function presetTile(chosen: TileChoice): void {
  choice = chosen;
}

function runSelfTest(): TileChoice {
  const narrow = new Trial(NARROW_TILE), wide = new Trial(WIDE_TILE);
  const times = { narrow: new TrialTimes(), wide: new TrialTimes() };
  for (let start = now(), time = start; time < start + TRIAL_MS && !areSettled(times, time); time = now()) {
    times.narrow.add(narrow.time(), now());
    times.wide.add(wide.time(), now());
  }
  const narrowGflops = gflopsOf(times.narrow), wideGflops = gflopsOf(times.wide);
  const isWide = wideGflops > narrowGflops;
  const figures = `narrow ${narrowGflops.toFixed(0)}, wide ${wideGflops.toFixed(0)} GFLOP/s`;
  const reason = isWide ? `256-bit vectors: ${figures}` : `128-bit vectors: ${figures}`;
  return { tile: isWide ? WIDE_TILE : NARROW_TILE, reason, narrowGflops, wideGflops };
}

/** One tile under test, in a memory of its own. */
class Trial {
  readonly #matmul: Matmul;
  readonly #product: Product = emptyProduct();

  constructor(tile: Tile) {
    const memory = createDeviceMemory(4 << 20), heap = new DeviceHeap({ memory, capBytes: 4 << 20 });
    const builder = new ModuleBuilder();
    addGemm(builder, tile);
    const kernels: Kernels = builder.instantiate([memory]);
    this.#matmul = new Matmul(heap, kernels, tile);
    const { m, n, k } = SIZE;
    const a = heap.allocate("A of the self-test", m * k, "workspace");
    const b = heap.allocate("B of the self-test", k * n, "workspace");
    const c = heap.allocate("C of the self-test", m * n, "workspace");
    // Small integers, so that every sum is exact and needs no tolerance.
    heap.f32(a).forEach((_, i, values) => values[i] = (i * 7) % 5 - 2);
    heap.f32(b).forEach((_, i, values) => values[i] = (i * 3) % 7 - 3);
    const addresses = { a: a.byteOffset, b: b.byteOffset, c: c.byteOffset };
    Object.assign(this.#product, SIZE, addresses, { lda: k, ldb: n, ldc: n });
    this.#matmul.multiply(this.#product);
    checkProduct(heap.f32(a), heap.f32(b), heap.f32(c));
  }

  /** Milliseconds of one product; the first one, of the constructor, is not timed. */
  time(): number {
    const start = now();
    this.#matmul.multiply(this.#product);
    return now() - start;
  }
}

function gflopsOf({ bestMs }: TrialTimes): number {
  return 2 * SIZE.m * SIZE.n * SIZE.k / bestMs / 1e6;
}

function checkProduct(a: Float32Array, b: Float32Array, c: Float32Array): void {
  const { m, n, k } = SIZE;
  for (let i = 0; i < m; i += 5) {
    for (let j = 0; j < n; j += 3) {
      let want = 0;
      for (let p = 0; p < k; p++) want += a[i * k + p] * b[p * n + j];
      if (c[i * n + j] === want) continue;
      throw new Error(
        `Cannot use the wasm kernels: the self-test got ${c[i * n + j]} for ${want} at ${i}, ${j}`,
      );
    }
  }
}
