/**
 * A program of which every rank does what the configuration says, in as many ways to end as there are.
 *
 * @module
 */
import type { Device } from "../../../actors/mod.ts";

/** What a rank does. */
export type Act = keyof typeof ACTS;

/** What every rank does, by rank, after a barrier. */
export interface ActsConfig {
  readonly acts: readonly Act[];
  /** Handed back by `echo`. */
  readonly value?: unknown;
}

const forever = () => new Promise<never>(() => {});

const ACTS = {
  rank: (device: Device) => device.rank * 10,
  echo: (_device: Device, value: unknown) => value,
  barrier: (device: Device) => device.group("all").barrier({ label: "the end" }),
  throw: () => {
    throw new TypeError("this shape does not fit");
  },
  throwText: () => {
    throw "just a text";
  },
  uncaught: () => {
    setTimeout(() => {
      throw new RangeError("thrown by a timer");
    });
    return forever();
  },
  rejection: () => {
    Promise.reject(new RangeError("rejected by nobody's promise"));
    return forever();
  },
  close: () => {
    (globalThis as unknown as { close(): void }).close();
    return forever();
  },
  exit: () => Deno.exit(3),
  outOfMemory: (device: Device) => device.heap.allocate("h.0.attn.c_attn", 2 ** 28, "activations"),
  spin: () => {
    while (true);
  },
  never: forever,
  enter: (device: Device) => {
    device.enter(7, "forward");
    device.enter(8, "backward");
  },
  report: async (device: Device) => {
    for (let i = 0; i < 5; i++) await device.report(`${device.rank}: ${i}`);
  },
  reportOnce: async (device: Device) => {
    await device.report("a value");
    return forever();
  },
  stop: (device: Device) => {
    let looks = 0;
    while (!device.isStopRequested) looks++;
    return looks > 0;
  },
  unclonable: () => () => 0,
} satisfies Record<string, (device: Device, value: unknown) => unknown>;

/** Meets the others, says where it is, and does what it was told. */
export default async function run(device: Device, { acts, value }: ActsConfig): Promise<unknown> {
  device.group("all").barrier({ label: "the start" });
  device.enter(3, "act");
  return await ACTS[acts[device.rank]](device, value);
}
