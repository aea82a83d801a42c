/** A wait in a test that is longer than this is a failure of the test, unless it says otherwise. */
export const DEADLINE_MS = 60_000;

/** Awaits a promise, or fails with what `describe` says when the deadline has passed. */
export async function within<Result>(
  promise: Promise<Result>,
  { ms = DEADLINE_MS, describe = () => "" }: { ms?: number; describe?: () => string } = {},
): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not settled within ${ms} ms ${describe()}`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
