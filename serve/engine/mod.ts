/**
 * An engine that goes on with many texts at a time.
 *
 * @module
 */
export * from "./engine.ts";
export * from "./scheduler.ts";
export * from "./sequence.ts";
