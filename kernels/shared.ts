/** A copy in shared memory, which every device reads without another copy. */
export function toShared<Values extends Float32Array | Int32Array>(values: Values): Values {
  const buffer = new SharedArrayBuffer(values.byteLength);
  const shared = values instanceof Float32Array ? new Float32Array(buffer) : new Int32Array(buffer);
  shared.set(values);
  return shared as unknown as Values;
}
