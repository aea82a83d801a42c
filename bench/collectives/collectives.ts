import { launch } from "../../actors/mod.ts";
import { Mesh } from "../../strategies/mod.ts";

/** A measured collective. */
export interface CollectiveRecord {
  readonly bench: string;
  readonly algorithm: string;
  readonly devices: number;
  /** Of the whole buffer. */
  readonly bytes: number;
  /** Median of one operation, as the slowest rank sees it. */
  readonly ms: number;
  /** The algorithm that is chosen for this size unless one is forced. */
  readonly auto?: true;
}

/** What the measuring program gets. */
export interface CollectivesConfig {
  readonly sizes: readonly number[];
}

const SIZES = [10, 12, 14, 16, 18, 20, 22, 24, 26].map((log2) => 2 ** log2);
const MEMORY_BYTES = 512 * 2 ** 20;

/** Measures the collectives on so many devices. */
export async function* benchCollectives(devices: number): AsyncGenerator<CollectiveRecord> {
  const config: CollectivesConfig = { sizes: SIZES };
  const [records] = await launch({
    program: import.meta.resolve("./collectives_program.ts"),
    config,
    topology: new Mesh({ dp: devices }).topology(),
    deviceMemoryBytes: MEMORY_BYTES,
  }).done;
  yield* records as CollectiveRecord[];
}
