/**
 * Runs a schedule on paper: every device does its list in order, an instruction starts when what it needs is there.
 *
 * Whether the run ends does not depend on how long instructions take: devices act in a fixed order and wait for one
 * thing at a time, so the outcome is the same for all timings (Kahn 1974). One simulated run therefore proves that
 * there is no deadlock.
 */
import type { Instruction, PassKind, Schedule } from "./schedule.ts";
import { receiveOf, sendOf, type Transfer, transferKey } from "./schedule_channels.ts";
import { formatInstruction } from "./schedule_text.ts";

/**
 * Units of time of a pass: a backward pass does two products for each of the forward pass, one for the input and one
 * for the weights. With these, the bubbles of all schedules are exactly their formulas. Of an interleaved schedule
 * the unit is that of a stage, which is 1/v of what a device holds.
 */
export const UNIT_TIMES: Readonly<Record<PassKind, number>> = { F: 1, B: 2, I: 1, W: 1 };

/** When an instruction ran. */
export interface TimeSlot {
  /** In units of time since the step began. */
  readonly start: number;
  /** In units of time since the step began. */
  readonly end: number;
}

/** Where a device stopped for ever. */
export interface Stop {
  /** Device that stopped. */
  readonly device: number;
  /** Place of the instruction it stopped at. */
  readonly index: number;
  /** Device that it waits for. */
  readonly peer: number;
  /** What it waits for, in words. */
  readonly message: string;
}

/** What went through a channel. */
export interface ChannelUse {
  /** Sending device. */
  readonly from: number;
  /** Receiving device. */
  readonly to: number;
  /** Messages in one step. */
  readonly numMessages: number;
  /** The most messages that were sent and not yet taken: with as many slots no sender ever waits. */
  readonly peakQueued: number;
}

/** A run on paper. */
export interface Timeline {
  /** For each device when its instructions ran; shorter than its list if it stopped. */
  readonly slots: readonly (readonly TimeSlot[])[];
  /** Devices that did not come to their end; empty if the schedule runs. */
  readonly stops: readonly Stop[];
  /** All channels that were used. */
  readonly channels: readonly ChannelUse[];
}

/** How a run on paper is timed. */
export interface TimelineOptions {
  /** Time that an instruction takes; by default {@link UNIT_TIMES} of its kind. Hand-offs take no time. */
  readonly duration?: (instruction: Instruction) => number;
  /** Messages that a channel holds before its sender waits; by default any number. */
  readonly channelSlots?: number;
}

/** Times of the messages of a channel, in order. */
interface Queue {
  readonly from: number;
  readonly to: number;
  readonly sent: number[];
  readonly taken: number[];
}

/** Where a device is in its list. */
interface Cursor {
  readonly slots: TimeSlot[];
  free: number;
  /** End of an instruction that is done but whose message has no slot yet. */
  blocked: { readonly start: number; readonly end: number } | undefined;
}

/** Runs a schedule on paper. Messages are found by what they are; their order is checked by `findPairingFaults`. */
export function runOnPaper(schedule: Schedule, options: TimelineOptions = {}): Timeline {
  const run = new PaperRun(schedule, options);
  while (run.advanceAll());
  return run.finish();
}

class PaperRun {
  readonly #schedule: Schedule;
  readonly #duration: (instruction: Instruction) => number;
  readonly #channelSlots: number;
  readonly #cursors: readonly Cursor[];
  /** End times of instructions by their text, and times at which transfers are there by their key. */
  readonly #done = new Map<string, number>();
  readonly #queues = new Map<string, Queue>();

  constructor(schedule: Schedule, options: TimelineOptions) {
    this.#schedule = schedule;
    this.#duration = options.duration ?? ((instruction) => UNIT_TIMES[instruction.kind]);
    this.#channelSlots = options.channelSlots ?? Infinity;
    this.#cursors = schedule.devices.map(() => ({ slots: [], free: 0, blocked: undefined }));
  }

  /** Lets every device go as far as it can; whether one went on. */
  advanceAll(): boolean {
    let hasMoved = false;
    for (const device of this.#cursors.keys()) {
      while (this.#advance(device)) hasMoved = true;
    }
    return hasMoved;
  }

  #advance(device: number): boolean {
    const cursor = this.#cursors[device];
    const instruction = this.#schedule.devices[device][cursor.slots.length];
    if (instruction === undefined) return false;
    if (cursor.blocked === undefined) {
      const ready = this.#readyTime(instruction);
      if (ready === undefined) return false;
      const start = Math.max(cursor.free, ready);
      this.#take(receiveOf(this.#schedule, instruction), start);
      cursor.blocked = { start, end: start + this.#duration(instruction) };
    }
    const { start, end } = cursor.blocked;
    const sent = this.#send(sendOf(this.#schedule, instruction), end);
    if (sent === undefined) return false;
    cursor.slots.push({ start, end });
    cursor.free = sent;
    cursor.blocked = undefined;
    this.#done.set(formatInstruction(instruction), end);
    return true;
  }

  /** When all that an instruction needs is there; undefined if that is not known yet. */
  #readyTime(instruction: Instruction): number | undefined {
    const times = this.#needs(instruction).map(({ name }) => this.#done.get(name));
    return times.some((time) => time === undefined) ? undefined : Math.max(0, ...times as number[]);
  }

  #needs(instruction: Instruction): { name: string; from: number }[] {
    const { kind, stage, microBatch } = instruction;
    const device = stage % this.#schedule.p;
    const received = receiveOf(this.#schedule, instruction);
    const needs = received === undefined ? [] : [{ name: transferKey(received), from: received.from }];
    if (kind === "F") return needs;
    return [
      { name: formatInstruction({ kind: kind === "W" ? "I" : "F", stage, microBatch }), from: device },
      ...needs,
    ];
  }

  #take(transfer: Transfer | undefined, time: number): void {
    if (transfer === undefined || transfer.from === transfer.to) return;
    this.#queue(transfer).taken.push(time);
  }

  /** Hands a transfer on and returns when that was possible; undefined if no slot is free yet. */
  #send(transfer: Transfer | undefined, end: number): number | undefined {
    if (transfer === undefined) return end;
    if (transfer.from === transfer.to) {
      this.#done.set(transferKey(transfer), end);
      return end;
    }
    const { sent, taken } = this.#queue(transfer);
    const before = sent.length - this.#channelSlots;
    if (before >= 0 && taken.length <= before) return undefined;
    const time = before >= 0 ? Math.max(end, taken[before]) : end;
    sent.push(time);
    this.#done.set(transferKey(transfer), time);
    return time;
  }

  #queue({ from, to }: Transfer): Queue {
    const name = `${from} -> ${to}`;
    const queue = this.#queues.get(name) ?? { from, to, sent: [], taken: [] };
    this.#queues.set(name, queue);
    return queue;
  }

  finish(): Timeline {
    const stops = this.#cursors.flatMap((cursor, device): Stop[] => {
      const index = cursor.slots.length;
      const instruction = this.#schedule.devices[device][index];
      return instruction === undefined ? [] : [this.#stopAt(instruction, { device, index })];
    });
    const channels = [...this.#queues.values()].map(({ from, to, sent, taken }) => {
      let numTaken = 0, peakQueued = 0;
      for (const [k, time] of sent.entries()) {
        while (numTaken < taken.length && taken[numTaken] <= time) numTaken++;
        peakQueued = Math.max(peakQueued, k + 1 - numTaken);
      }
      return { from, to, numMessages: sent.length, peakQueued };
    });
    return { slots: this.#cursors.map((cursor) => cursor.slots), stops, channels };
  }

  #stopAt(instruction: Instruction, at: { device: number; index: number }): Stop {
    const text = formatInstruction(instruction);
    const sending = sendOf(this.#schedule, instruction);
    if (this.#cursors[at.device].blocked !== undefined && sending !== undefined) {
      const slots = `all ${this.#channelSlots} slots to device ${sending.to} are taken`;
      return { ...at, peer: sending.to, message: `${text} cannot send ${transferKey(sending)}: ${slots}` };
    }
    const missing = this.#needs(instruction).find(({ name }) => !this.#done.has(name));
    const peer = missing?.from ?? at.device;
    return { ...at, peer, message: `${text} waits for ${missing?.name} of device ${peer}` };
  }
}
