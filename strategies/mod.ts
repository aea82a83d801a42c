/**
 * How a model is spread over devices: meshes, layouts, schedules, pipelines, ZeRO.
 *
 * @example Four devices along the data axis
 * ```ts
 * import { Mesh } from "./mod.ts";
 *
 * const mesh = new Mesh({ dp: 4 });
 * console.log(mesh.size, mesh.line(0, "dp")); // 4 [ 0, 1, 2, 3 ]
 * ```
 *
 * @module
 */
export * from "./bucket_memory.ts";
export * from "./buckets.ts";
export * from "./context_parallel.ts";
export * from "./context_placement.ts";
export * from "./exact_plan.ts";
export * from "./expert_parallel.ts";
export * from "./gathered_attention.ts";
export * from "./gradient_fold.ts";
export * from "./gradient_norm.ts";
export * from "./layout.ts";
export * from "./mesh.ts";
export * from "./mesh_picture.ts";
export * from "./parameter_store.ts";
export * from "./partial_gradients.ts";
export * from "./partition.ts";
export * from "./pipeline.ts";
export * from "./plan.ts";
export * from "./replica_check.ts";
export * from "./ring_attention.ts";
export * from "./ring_buffers.ts";
export * from "./schedule.ts";
export * from "./schedule_channels.ts";
export * from "./schedule_check.ts";
export * from "./schedule_picture.ts";
export * from "./schedule_text.ts";
export * from "./schedule_timeline.ts";
export * from "./tensor_ops.ts";
export * from "./tensor_parallel.ts";
export * from "./vocab_parallel.ts";
