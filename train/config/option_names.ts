import { UsageError } from "../../files/mod.ts";

/** `minLr` -> `--min-lr`. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `--min-lr`, `min-lr` or `minLr` -> `minLr`. */
export function keyOf(name: string): string {
  return name.replace(/^--?/, "").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** An error about an option that does not exist; it names the nearest one that does. */
export function unknownOption(name: string, known: readonly string[]): UsageError {
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? "--help lists all options" : `did you mean ${nearest}?`;
  return new UsageError(`Cannot use option ${name}: it does not exist; ${hint}`);
}

/** The known name that is nearest to `name`, if it is near enough to be meant. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((other) => ({ other, distance: editDistance(name, other) }));
  ranked.sort((a, b) => a.distance - b.distance);
  const best = ranked.at(0);
  return best !== undefined && best.distance <= Math.max(2, name.length / 3) ? best.other : undefined;
}

/** Fewest insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) rows[0][j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}
