const GIB = 2 ** 30;

/** Places in a device's memory where a 32-bit address may be taken for a negative number. */
export const HIGH_PLACES = {
  "2 GiB, across": 2 * GIB - 2 ** 18,
  "2.1 GiB": Math.floor(2.1 * GIB / 64) * 64,
  "3.0 GiB": 3 * GIB,
  "3.9 GiB": Math.floor(3.9 * GIB / 64) * 64,
} as const;
