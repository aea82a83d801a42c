import { AssertionError } from "./error.ts";

/** A class of errors. */
// deno-lint-ignore no-explicit-any
export type ErrorClass<E extends Error = Error> = abstract new (...args: any[]) => E;

/** Fails unless `error` is an Error, of the class, whose message contains the text or matches. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  const suffix = msg === undefined ? "." : `: ${msg}`;
  if (!(error instanceof Error)) {
    throw new AssertionError(`Expected "error" to be an Error object${suffix}`);
  }
  if (errorClass !== undefined && !(error instanceof errorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${errorClass.name}", but was "${error.constructor.name}" ` +
        `(${error.message})${suffix}`,
    );
  }
  if (msgMatches === undefined) return;
  const found = typeof msgMatches === "string"
    ? error.message.includes(msgMatches)
    : msgMatches.test(error.message);
  if (!found) {
    throw new AssertionError(
      `Expected error message to include ${msgMatches}, but got "${error.message}"${suffix}`,
    );
  }
}

/** Fails unless the function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless the function throws an error of the class whose message contains the text. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  classOrMsg?: ErrorClass | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    return checked(error, classOrMsg, msgIncludes, msg);
  }
  throw new AssertionError(`Expected function to throw${ending(classOrMsg, msg)}`);
}

/** Fails unless the promise rejects; resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless the promise rejects with an error of the class whose message contains the text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  let promise: unknown;
  let isPromise = false;
  try {
    promise = fn();
    isPromise = typeof (promise as PromiseLike<unknown> | undefined)?.then === "function";
    await promise;
  } catch (error) {
    if (!isPromise) {
      throw new AssertionError(`Function throws when expected to reject${ending(classOrMsg, msg)}`);
    }
    return checked(error, classOrMsg, msgIncludes, msg);
  }
  throw new AssertionError(`Expected function to reject${ending(classOrMsg, msg)}`);
}

function checked(
  error: unknown,
  classOrMsg: ErrorClass | string | undefined,
  msgIncludes?: string,
  msg?: string,
): unknown {
  if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, msg);
  return error;
}

function ending(classOrMsg: ErrorClass | string | undefined, msg?: string): string {
  const text = typeof classOrMsg === "string" ? classOrMsg : msg;
  return text === undefined ? "." : `: ${text}`;
}
