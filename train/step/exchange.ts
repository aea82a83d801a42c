import type { DeviceView } from "../../actors/mod.ts";
import { now, type Span } from "../../kernels/mod.ts";
import type { DeviceRecord } from "./metrics.ts";

/** What all ranks know after a step. */
export interface StepSummary {
  /** Sum of the losses of all rows of the global batch. */
  readonly lossSum: number;
  /** Choices of experts that were full. */
  readonly droppedChoices: number;
  /** Some rank was asked to stop. */
  readonly isStopRequested: boolean;
  /** What each device measured, by rank. */
  readonly devices: readonly DeviceRecord[];
}

/** What a rank counted in a step. */
export interface StepCounts {
  /** Choices of experts that were full. */
  readonly droppedChoices?: number;
  /** Bytes that came back from a GPU. */
  readonly bytesReadBack?: number;
}

/** Values that every rank contributes, in this order. */
const FIELDS = [
  "lossSum",
  "stop",
  "computeMs",
  "copyMs",
  "waitMs",
  "bytesMoved",
  "peakBytes",
  "dropped",
  "bytesReadBack",
] as const;

/** Tells every rank what each rank measured in a step, in one small all-gather. */
export class StepExchange {
  readonly #device: DeviceView;
  readonly #own: Span;
  readonly #all: Span;
  #start = now();

  /** Allocates the values of this rank and of all. */
  constructor(device: DeviceView) {
    this.#device = device;
    this.#own = device.heap.allocate("step values", FIELDS.length, "buffers", "f64");
    this.#all = device.heap.allocate(
      "step values of all",
      FIELDS.length * device.worldSize,
      "buffers",
      "f64",
    );
  }

  /** Begins the account of a step. */
  start(): void {
    this.#start = now();
    this.#device.ledger.reset();
  }

  /** Ends it: all ranks call this with their sums and get the same summary. */
  finish(lossSum: number, { droppedChoices: dropped = 0, bytesReadBack = 0 }: StepCounts = {}): StepSummary {
    const { heap, ledger, isStopRequested, worldSize } = this.#device;
    const { copyMs, waitMs, bytesMoved } = ledger, wall = now() - this.#start;
    const computeMs = Math.max(0, wall - copyMs - waitMs);
    heap.f64(this.#own).set([
      lossSum,
      Number(isStopRequested),
      computeMs,
      copyMs,
      waitMs,
      bytesMoved,
      heap.peakBytes,
      dropped,
      bytesReadBack,
    ]);
    this.#device.group("world").allGather(this.#own, this.#all, { label: "step values" });
    const values = heap.f64(this.#all);
    const field = (rank: number, name: typeof FIELDS[number]) =>
      values[rank * FIELDS.length + FIELDS.indexOf(name)];
    let sum = 0, stop = 0, droppedChoices = 0;
    const devices: DeviceRecord[] = [];
    for (let rank = 0; rank < worldSize; rank++) {
      sum += field(rank, "lossSum");
      stop += field(rank, "stop");
      droppedChoices += field(rank, "dropped");
      devices.push({
        rank,
        computeMs: round(field(rank, "computeMs")),
        copyMs: round(field(rank, "copyMs")),
        waitMs: round(field(rank, "waitMs")),
        bytesMoved: field(rank, "bytesMoved"),
        peakBytes: field(rank, "peakBytes"),
        ...field(rank, "bytesReadBack") > 0 ? { bytesReadBack: field(rank, "bytesReadBack") } : {},
      });
    }
    return { lossSum: sum, droppedChoices, isStopRequested: stop > 0, devices };
  }
}

/** Milliseconds to the microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
