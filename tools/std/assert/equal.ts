/**
 * Deep equality as `@std/assert` defines it: by value and by class, `NaN` equals `NaN`, `0` equals `-0`,
 * sets and maps without regard to order, a missing property differs from an undefined one.
 */
export function equal(actual: unknown, expected: unknown): boolean {
  return compare(actual, expected, new Map());
}

function compare(a: unknown, b: unknown, seen: Map<unknown, unknown>): boolean {
  if (typeof a === "number" && typeof b === "number") {
    return a === b || (Number.isNaN(a) && Number.isNaN(b));
  }
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (seen.get(a) === b) return true;
  if (!isSameClass(a, b)) return false;
  seen.set(a, b);
  if (a instanceof Date) return compare(a.getTime(), (b as Date).getTime(), seen);
  if (a instanceof RegExp || a instanceof URL) return String(a) === String(b);
  if (a instanceof WeakMap || a instanceof WeakSet || a instanceof WeakRef) return false;
  if (a instanceof ArrayBuffer || a instanceof SharedArrayBuffer) {
    return compareLists(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  }
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) {
    return compareLists(a as Uint8Array, b as Uint8Array);
  }
  if (a instanceof Set) return compareSets(a, b as Set<unknown>, seen);
  if (a instanceof Map) return compareMaps(a, b as Map<unknown, unknown>, seen);
  return compareProperties(a, b, seen);
}

function isObject(value: unknown): value is object {
  return value !== null && typeof value === "object";
}

function isSameClass(a: object, b: object): boolean {
  const left = a.constructor, right = b.constructor;
  return left === right || (left === Object && right === undefined) ||
    (left === undefined && right === Object);
}

function compareLists(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false;
  }
  return true;
}

function compareSets(a: Set<unknown>, b: Set<unknown>, seen: Map<unknown, unknown>): boolean {
  if (a.size !== b.size) return false;
  return [...a].every((x) => b.has(x) || [...b].some((y) => compare(x, y, seen)));
}

function compareMaps(
  a: Map<unknown, unknown>,
  b: Map<unknown, unknown>,
  seen: Map<unknown, unknown>,
): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([key, value]) =>
    (b.has(key) && compare(value, b.get(key), seen)) ||
    [...b].some(([k, v]) => compare(key, k, seen) && compare(value, v, seen))
  );
}

function compareProperties(a: object, b: object, seen: Map<unknown, unknown>): boolean {
  const keys = Reflect.ownKeys(a);
  if (keys.length !== Reflect.ownKeys(b).length) return false;
  return keys.every((key) =>
    Object.hasOwn(b, key) && compare(Reflect.get(a, key), Reflect.get(b, key), seen)
  );
}
