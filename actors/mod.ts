/**
 * Workers and their life: a launcher that starts one worker per device, the device that a program sees, and a
 * supervisor that stops everybody when one fails.
 *
 * @example Run a program on two devices
 * ```ts
 * import { launch } from "@tessera/tessera/actors";
 *
 * const world = launch({
 *   program: "data:text/javascript,export default (device) => device.rank", // or import.meta.resolve("./my_program.ts")
 *   topology: { worldSize: 2, groups: [{ name: "dp", ranks: [0, 1] }] },
 *   deviceMemoryBytes: 64 << 20,
 * });
 * console.log(await world.done); // [0, 1]
 * ```
 *
 * @module
 */
export * from "./device.ts";
export * from "./launch.ts";
export * from "./messages.ts";
export * from "./phantom_device.ts";
export * from "./supervisor.ts";
export * from "./worker_pool.ts";
