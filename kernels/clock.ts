/** Milliseconds since the process started, monotonic: the only clock of the library. */
export function now(): number {
  return performance.now();
}
