/**
 * Pipeline schedules as values: what every device runs, in order. Nothing here knows a worker or a tensor.
 *
 * Letters: p devices along the pipeline, m micro-batches per step, v stages per device (virtual stages).
 * The p v stages are dealt out in turns: stage q stands on device q mod p.
 *
 * Sends and receives are not written down, they follow from the passes: a forward pass of stage q receives from
 * stage q - 1 and sends to q + 1, a backward pass the other way around. `schedule_text.ts` reads and writes the
 * text form, `schedule_check.ts` proves that a schedule can run, `schedule_picture.ts` draws it.
 */

/**
 * What an instruction does with its micro-batch. The letters are those of PyTorch's pipelining.
 *
 * - `F` forward. Receives activations of the stage before, sends its own to the next.
 * - `B` full backward: `I` and `W` in one. Receives a gradient of the next stage, sends one to the stage before.
 * - `I` backward for the input only: what the stage before waits for. Pairs with a `W` that comes later.
 * - `W` backward for the weights: nobody waits for it, so it can fill a bubble.
 */
export type PassKind = "F" | "B" | "I" | "W";

/** One pass of one micro-batch through one stage. */
export interface Instruction {
  /** Forward, full backward, or one half of a backward pass. */
  readonly kind: PassKind;
  /** Stage of the model, from 0 to p v - 1; it stands on device `stage mod p`. */
  readonly stage: number;
  /** Micro-batch of the step, from 0 to m - 1. */
  readonly microBatch: number;
}

/** What every device of a pipeline runs in one step. */
export interface Schedule {
  /** What the schedule is called: one of {@link SCHEDULES}, or a user's own. */
  readonly name: string;
  /** Devices along the pipeline. */
  readonly p: number;
  /** Micro-batches per step. */
  readonly m: number;
  /** Stages per device. */
  readonly v: number;
  /** For each device its instructions, in order. */
  readonly devices: readonly (readonly Instruction[])[];
}

/** Schedules that can be asked for by name. */
export const SCHEDULES = ["gpipe", "1f1b", "interleaved", "zero-bubble"] as const;
/** One of {@link SCHEDULES}. */
export type ScheduleName = typeof SCHEDULES[number];

/** The device of a schedule that a stage stands on. */
export function deviceOfStage(schedule: Pick<Schedule, "p">, stage: number): number {
  return stage % schedule.p;
}

/** Which of the v stages of its device a stage is: 0 for the first p stages, 1 for the next p. */
export function chunkOfStage(schedule: Pick<Schedule, "p">, stage: number): number {
  return Math.floor(stage / schedule.p);
}

/**
 * Makes a schedule by name.
 *
 * @param name One of {@link SCHEDULES}.
 * @param size p devices, m micro-batches, and for `interleaved` v stages per device, by default 2.
 * @throws {RangeError} If a number does not fit, or v is not 1 for a schedule that does not interleave.
 */
export function makeSchedule(
  name: ScheduleName,
  size: { readonly p: number; readonly m: number; readonly v?: number },
): Schedule {
  const { p, m } = size;
  if (name === "interleaved") return interleaved(p, m, size.v ?? 2);
  if ((size.v ?? 1) !== 1) {
    throw new RangeError(
      `Cannot run ${name} with v = ${size.v}: only interleaved has several stages per device`,
    );
  }
  if (name === "gpipe") return gpipe(p, m);
  if (name === "1f1b") return oneForwardOneBackward(p, m);
  if (name === "zero-bubble") return zeroBubble(p, m);
  throw new RangeError(`Cannot make a schedule named ${name}: known are ${SCHEDULES.join(", ")}`);
}

/**
 * All forward passes, then all backward passes. gpipe(3, 4), a full backward taking two units of time:
 *
 * ```text
 *  0 | F0 F1 F2 F3 .  .  .  .  .  .  B0--- B1--- B2--- B3---
 *  1 | .  F0 F1 F2 F3 .  .  .  B0--- B1--- B2--- B3--- .  .
 *  2 | .  .  F0 F1 F2 F3 B0--- B1--- B2--- B3--- .  .  .  .
 * ```
 *
 * Bubble (p - 1) / (m + p - 1); m micro-batches in flight. Backward passes run in the order of micro-batches, as
 * the sums of gradients do everywhere else.
 *
 * Source: Huang et al., GPipe, NeurIPS 2019.
 */
export function gpipe(p: number, m: number): Schedule {
  checkSize("gpipe", { p, m, v: 1 });
  const devices = eachDevice(p, (device) => [...passes("F", device, 0, m), ...passes("B", device, 0, m)]);
  return { name: "gpipe", p, m, v: 1, devices };
}

/**
 * One forward, one backward: as soon as a stage can go back, it does. oneForwardOneBackward(3, 4):
 *
 * ```text
 *  0 | F0 F1 F2 .  .  .  .  B0--- F3 B1--- .  B2--- .  B3---
 *  1 | .  F0 F1 .  .  B0--- F2 B1--- F3 B2--- .  B3--- .  .
 *  2 | .  .  F0 B0--- F1 B1--- F2 B2--- F3 B3--- .  .  .  .
 * ```
 *
 * Bubble (p - 1) / (m + p - 1) as in GPipe, but at most p - d micro-batches in flight on device d.
 *
 * Source: Narayanan et al., PipeDream, SOSP 2019, with a flush at the end of a step (PipeDream-Flush, 2021).
 */
export function oneForwardOneBackward(p: number, m: number): Schedule {
  checkSize("1f1b", { p, m, v: 1 });
  const devices = eachDevice(p, (device) => {
    const warmUp = Math.min(p - 1 - device, m);
    return alternate(passes("F", device, 0, m), passes("B", device, 0, m), warmUp);
  });
  return { name: "1f1b", p, m, v: 1, devices };
}

/**
 * 1F1B with v stages per device: each is 1/v as long, so the pipeline fills v times faster. interleaved(2, 4, 2):
 *
 * ```text
 * from 0
 *  0 | 0F0 0F1 2F0 2F1 0F2 .   2B0---- 0F3 2B1---- 2F2 0B0----
 *  1 | .   1F0 1F1 3F0 3B0---- 3F1 3B1---- 1F2 1B0---- 1F3 1B1-
 * from 14
 *  0 | 2F3 0B1---- .   2B2---- .   2B3---- 0B2---- 0B3----
 *  1 | --- 3F2 3B2---- 3F3 3B3---- 1B2---- 1B3---- .   .
 * ```
 *
 * Micro-batches go in rounds of p: p of them through a device's first stage, the same p through its next, and so
 * on. Bubble (p - 1) / (v m + p - 1), paid with v times the messages and more activations in flight.
 *
 * @throws {RangeError} If m is not a multiple of p, or v is 1 (that is 1F1B).
 *
 * Source: Narayanan et al., Efficient large-scale language model training on GPU clusters, SC 2021, section 2.2.
 */
export function interleaved(p: number, m: number, v: number): Schedule {
  checkSize("interleaved", { p, m, v });
  if (v < 2) throw new RangeError(`Cannot interleave ${v} stage per device: v is from 2, with 1 use 1f1b`);
  if (m % p !== 0) {
    throw new RangeError(`Cannot interleave ${m} micro-batches over ${p} devices: m must be a multiple of p`);
  }
  const devices = eachDevice(p, (device) => {
    const turn = (kind: PassKind, k: number): Instruction => {
      const round = Math.floor(k / (p * v)), place = k % (p * v);
      const turned = Math.floor(place / p);
      const chunk = kind === "F" ? turned : v - 1 - turned;
      return { kind, stage: chunk * p + device, microBatch: round * p + place % p };
    };
    const forward = Array.from({ length: m * v }, (_, k) => turn("F", k));
    const backward = Array.from({ length: m * v }, (_, k) => turn("B", k));
    return alternate(forward, backward, Math.min(2 * (p - 1 - device) + (v - 1) * p, m * v));
  });
  return { name: "interleaved", p, m, v, devices };
}

/**
 * ZB-H1: 1F1B with its backward passes split; what only this device needs waits and fills its bubbles.
 * zeroBubble(3, 4):
 *
 * ```text
 *  0 | F0 F1 F2 .  .  I0 W0 F3 I1 W1 I2 W2 I3 W3
 *  1 | .  F0 F1 .  I0 F2 I1 W0 F3 I2 W1 I3 W2 W3
 *  2 | .  .  F0 I0 F1 I1 F2 I2 W0 F3 I3 W1 W2 W3
 * ```
 *
 * Device d delays a weight gradient by d micro-batches, so at most p are in flight (a micro-batch counts until its
 * weight gradient is done): the bound of 1F1B. Bubble (p - 1) / (3 m + p - 1) for m >= p, a third of that of 1F1B;
 * below that a step takes 2 p + 2 m - 1 units of time, which is less than that of 1F1B too.
 *
 * Source: Qi et al., Zero bubble pipeline parallelism, ICLR 2024 (arXiv 2023), schedule ZB-H1, section 2.1.
 */
export function zeroBubble(p: number, m: number): Schedule {
  checkSize("zero-bubble", { p, m, v: 1 });
  const devices = eachDevice(p, (device) => {
    const warmUp = Math.min(p - 1 - device, m);
    const order = alternate(passes("F", device, 0, m), passes("I", device, 0, m), warmUp);
    const withWeights = order.flatMap((pass): readonly Instruction[] =>
      pass.kind === "I" && pass.microBatch >= device
        ? [pass, { kind: "W", stage: device, microBatch: pass.microBatch - device }]
        : [pass]
    );
    return [...withWeights, ...passes("W", device, Math.max(0, m - device), m)];
  });
  return { name: "zero-bubble", p, m, v: 1, devices };
}

function eachDevice(p: number, list: (device: number) => readonly Instruction[]): (readonly Instruction[])[] {
  return Array.from({ length: p }, (_, device) => list(device));
}

function passes(kind: PassKind, stage: number, start: number, end: number): Instruction[] {
  return Array.from({ length: end - start }, (_, i) => ({ kind, stage, microBatch: start + i }));
}

/** `warmUp` passes forward, then one forward and one backward in turn, then what is left of the backward passes. */
function alternate(forward: Instruction[], backward: Instruction[], warmUp: number): readonly Instruction[] {
  const steady = backward.flatMap((pass, k) => [...forward.slice(warmUp + k, warmUp + k + 1), pass]);
  return [...forward.slice(0, warmUp), ...steady];
}

function checkSize(name: string, size: { readonly p: number; readonly m: number; readonly v: number }): void {
  for (const [letter, value] of Object.entries(size)) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new RangeError(
      `Cannot make schedule ${name} with ${letter} = ${value}: it is a whole number from 1`,
    );
  }
}
