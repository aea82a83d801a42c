/**
 * Counter-based random numbers: the value of element i of a named stream depends on (seed, name, i) only, so every
 * layout of a tensor over devices starts from the same numbers.
 *
 * Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011: Threefry-2x32, 20 rounds.
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** A stream of random numbers, addressed by index. */
export class RandomStream {
  readonly #keys: readonly [number, number, number];
  #low = 0;
  #high = 0;

  /** Opens the stream of a name, of which the 32-bit FNV-1a hash counts; of `seed` the low 32 bits do. */
  constructor(seed: number, name: string) {
    const key0 = seed | 0, key1 = hashName(name);
    this.#keys = [key0, key1, key0 ^ key1 ^ PARITY];
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(index: number): number {
    this.#block(index);
    return ((this.#high >>> 5) * 67108864 + (this.#low >>> 6)) / 9007199254740992;
  }

  /** Standard normal (Box-Muller over the two words of a block). */
  normal(index: number): number {
    this.#block(index);
    const u = ((this.#high >>> 0) + 0.5) / 4294967296, angle = (this.#low >>> 0) / 4294967296;
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * angle);
  }

  /** Integer in [0, bound). */
  below(index: number, bound: number): number {
    return Math.floor(this.uniform(index) * bound);
  }

  #block(index: number): void {
    const keys = this.#keys;
    let x0 = (index + keys[0]) | 0, x1 = (Math.floor(index / 4294967296) + keys[1]) | 0;
    for (let round = 0; round < 20; round++) {
      const r = ROTATIONS[round & 7];
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
      if ((round & 3) === 3) {
        const s = (round + 1) >> 2;
        x0 = (x0 + keys[s % 3]) | 0;
        x1 = (x1 + keys[(s + 1) % 3] + s) | 0;
      }
    }
    this.#high = x0;
    this.#low = x1;
  }
}

/** FNV-1a over the UTF-16 units of a name. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash;
}
