/**
 * How a model is spread over devices: meshes, layouts, schedules, pipelines, ZeRO.
 *
 * @example Four devices along the data axis
 * ```ts
 * import { Mesh } from "@tessera/tessera/strategies";
 *
 * const mesh = new Mesh({ dp: 4 });
 * console.log(mesh.size, mesh.line(0, "dp")); // 4 [ 0, 1, 2, 3 ]
 * ```
 *
 * @module
 */
export * from "./context/mod.ts";
export * from "./data/mod.ts";
export * from "./expert/mod.ts";
export * from "./layout/mod.ts";
export * from "./pipeline/mod.ts";
export * from "./tensor/mod.ts";
