/**
 * Layouts as values: meshes of named axes, and plans that say how layers are split.
 *
 * @module
 */
export * from "./check_plan.ts";
export * from "./layout.ts";
export * from "./mesh.ts";
export * from "./mesh_picture.ts";
export * from "./plan.ts";
export * from "./shard_of.ts";
