/** An assertion did not hold. */
export class AssertionError extends Error {
  override name = "AssertionError";
}
