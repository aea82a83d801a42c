import { WorkerPool } from "../../actors/mod.ts";

/** Workers that the runs of a test file share: most of a short run is the start of its workers. */
export const pool = new WorkerPool();
