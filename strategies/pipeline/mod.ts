/**
 * Pipelines: schedules as values, their checks and pictures, and what runs them.
 *
 * @module
 */
export * from "./partition.ts";
export * from "./pipeline.ts";
export * from "./schedule.ts";
export * from "./schedule_channels.ts";
export * from "./schedule_check.ts";
export * from "./schedule_picture.ts";
export * from "./schedule_text.ts";
export * from "./schedule_timeline.ts";
