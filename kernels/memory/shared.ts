/** Arrays of numbers that can be shared. */
export type SharableArray = Float32Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

/** A copy in shared memory, which every device reads without another copy. */
export function toShared<Values extends SharableArray>(values: Values): Values {
  const make = values.constructor as new (buffer: SharedArrayBuffer) => Values;
  const shared = new make(new SharedArrayBuffer(values.byteLength));
  shared.set(values);
  return shared;
}
