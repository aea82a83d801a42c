import editDistance from "damerau-levenshtein";
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
  const ranked = known.map((other) => ({ other, distance: editDistance(name, other).steps as number }));
  ranked.sort((a, b) => a.distance - b.distance);
  const best = ranked.at(0);
  return best !== undefined && best.distance <= Math.max(2, name.length / 3) ? best.other : undefined;
}
