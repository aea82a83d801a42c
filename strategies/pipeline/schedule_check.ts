/**
 * Proves that a pipeline schedule can run, and says what it costs, before a worker starts.
 *
 * A schedule that passes runs every (micro-batch, stage) forward once and backward once on the right device, with
 * F before B (or I) before W; every send meets its receive in the same order; no two devices wait for each other.
 */
import { deviceOfStage, type Instruction, type Schedule } from "./schedule.ts";
import { findPairingFaults, type PairingFault } from "./schedule_channels.ts";
import { formatInstruction } from "./schedule_text.ts";
import {
  type ChannelUse,
  runOnPaper,
  type Stop,
  type TimelineOptions,
  type TimeSlot,
} from "./schedule_timeline.ts";

/** Something wrong with a schedule. */
export interface ScheduleProblem {
  /** What rule it breaks: see {@link checkSchedule}. */
  readonly kind: "range" | "place" | "twice" | "missing" | "order" | "pairing" | "deadlock";
  /** Device in whose list it is. */
  readonly device: number;
  /** Place in the list; the length of the list if something is missing. */
  readonly index: number;
  /** What is wrong, in one line. */
  readonly message: string;
}

/** What is known about a schedule without running it. */
export interface ScheduleReport {
  /** What was checked. */
  readonly schedule: Schedule;
  /** Empty if the schedule can run. */
  readonly problems: readonly ScheduleProblem[];
  /** For each device when its instructions run, as far as they do. */
  readonly timeline: readonly (readonly TimeSlot[])[];
  /** Whether all devices come to their end. */
  readonly isComplete: boolean;
  /** Units of time that a step takes; NaN if it never ends. */
  readonly makespan: number;
  /** Part of the time that devices are idle, from 0 to 1; NaN if the step never ends. */
  readonly bubble: number;
  /**
   * For each device the most stage activations it holds at once: a micro-batch counts for a stage from its forward
   * pass to the end of its `B` or `W`.
   */
  readonly inFlight: readonly number[];
  /** The same for each stage: as many recordings of the stage are needed. */
  readonly inFlightOfStage: readonly number[];
  /** What goes through each channel. */
  readonly channels: readonly ChannelUse[];
}

/** More are not listed: a file that is wrong in every line needs no book about it. */
const MAX_MISSING = 16;

/**
 * Checks a schedule and measures it on paper.
 *
 * Rules, by the `kind` of their problems: `range` stage and micro-batch exist; `place` a stage runs on its device;
 * `twice` no pass runs again; `missing` all are there; `order` F, then B or I, then W; `pairing` each send has a
 * receive and both ends of a channel keep one order; `deadlock` no cycle of devices that wait for each other. A
 * deadlock is looked for when the rest is right, as each of the others causes one.
 *
 * Times are {@link UNIT_TIMES} unless given: F = 1, B = 2, I = 1, W = 1 per stage. With them the bubble of GPipe and
 * 1F1B is (p - 1) / (m + p - 1), of an interleaved schedule (p - 1) / (v m + p - 1), of ZB-H1 for m >= p
 * (p - 1) / (3 m + p - 1).
 *
 * @throws {TypeError} If the number of lists is not p.
 */
export function checkSchedule(schedule: Schedule, options: TimelineOptions = {}): ScheduleReport {
  if (schedule.devices.length !== schedule.p) {
    const lists = schedule.devices.length;
    throw new TypeError(
      `Cannot check a schedule with p = ${schedule.p} and ${lists} lists: each device has one`,
    );
  }
  const run = runOnPaper(schedule, options);
  const problems = [...findMisplaced(schedule), ...findWrongPasses(schedule)];
  const isBad = (fault: PairingFault) =>
    problems.some((x) => x.device === fault.device && x.index === fault.index);
  const faults = findPairingFaults(schedule).filter((fault) => !isBad(fault));
  problems.push(...faults.map((fault): ScheduleProblem => ({ kind: "pairing", ...fault })));
  if (problems.length === 0) problems.push(...findDeadlock(run.stops));
  problems.sort((a, b) => a.device - b.device || a.index - b.index);
  const isComplete = run.stops.length === 0;
  const makespan = isComplete
    ? run.slots.reduce((latest, list) => Math.max(latest, list.at(-1)?.end ?? 0), 0)
    : NaN;
  const busy = run.slots.flat().reduce((sum, { start, end }) => sum + end - start, 0);
  const bubble = makespan === 0 ? 0 : 1 - busy / (schedule.p * makespan);
  const { slots: timeline, channels } = run;
  return { schedule, problems, timeline, isComplete, makespan, bubble, ...countInFlight(schedule), channels };
}

/** Instructions of stages or micro-batches that do not exist, or on a device that does not hold the stage. */
function findMisplaced(schedule: Schedule): ScheduleProblem[] {
  const { p, m, v, devices } = schedule;
  return devices.flatMap((list, device) =>
    list.flatMap((instruction, index): ScheduleProblem[] => {
      const { stage, microBatch } = instruction;
      const text = formatInstruction(instruction), at = { device, index };
      if (!(stage >= 0 && stage < p * v)) {
        return [{
          kind: "range",
          ...at,
          message: `${text} is of stage ${stage}, stages are 0 to ${p * v - 1}`,
        }];
      }
      if (!(microBatch >= 0 && microBatch < m)) {
        const message = `${text} is of micro-batch ${microBatch}, micro-batches are 0 to ${m - 1}`;
        return [{ kind: "range", ...at, message }];
      }
      const owner = deviceOfStage(schedule, stage);
      if (owner === device) return [];
      return [{
        kind: "place",
        ...at,
        message: `${text} is on device ${device}, stage ${stage} on device ${owner}`,
      }];
    })
  );
}

/** Places of the passes of one micro-batch through one stage, in the list of its device. */
type Places = Partial<Record<Instruction["kind"], number>>;

/** Passes that run twice, not at all, or in the wrong order. */
function findWrongPasses(schedule: Schedule): ScheduleProblem[] {
  const problems: ScheduleProblem[] = [];
  const places = new Map<string, Places>();
  for (const [device, list] of schedule.devices.entries()) {
    for (const [index, instruction] of list.entries()) {
      const { kind, stage, microBatch } = instruction;
      if (deviceOfStage(schedule, stage) !== device) continue;
      const found = places.get(`${stage},${microBatch}`) ?? {};
      places.set(`${stage},${microBatch}`, found);
      const clash = clashOf(kind, found);
      if (clash === undefined) found[kind] = index;
      else {
        const what = kind === clash
          ? "runs again"
          : `runs beside ${formatInstruction({ ...instruction, kind: clash })}`;
        const why = kind === clash ? "" : ": B is I and W in one";
        problems.push({
          kind: "twice",
          device,
          index,
          message: `${formatInstruction(instruction)} ${what}${why}`,
        });
      }
    }
  }
  let numMissing = 0;
  for (let microBatch = 0; microBatch < schedule.m; microBatch++) {
    for (let stage = 0; stage < schedule.p * schedule.v; stage++) {
      if (numMissing >= MAX_MISSING) return problems;
      const found = findMissingAndOrder(
        schedule,
        { stage, microBatch },
        places.get(`${stage},${microBatch}`) ?? {},
      );
      numMissing += found.filter(({ kind }) => kind === "missing").length;
      problems.push(...found);
    }
  }
  return problems;
}

/** A pass that was there before and does the work of this one. */
function clashOf(kind: Instruction["kind"], found: Places): Instruction["kind"] | undefined {
  const rivals = { F: ["F"], B: ["B", "I", "W"], I: ["I", "B"], W: ["W", "B"] } as const;
  return rivals[kind].find((rival) => found[rival] !== undefined);
}

function findMissingAndOrder(
  schedule: Schedule,
  pass: { readonly stage: number; readonly microBatch: number },
  found: Places,
): ScheduleProblem[] {
  const device = deviceOfStage(schedule, pass.stage);
  const end = schedule.devices[device].length;
  const text = (kind: Instruction["kind"]) => formatInstruction({ kind, ...pass });
  const isSplit = found.I !== undefined || found.W !== undefined;
  const needed: Instruction["kind"][] = isSplit ? ["F", "I", "W"] : ["F", "B"];
  const problems = needed.filter((kind) => found[kind] === undefined).map((kind): ScheduleProblem => (
    { kind: "missing", device, index: end, message: `${text(kind)} is missing` }
  ));
  for (const [k, kind] of needed.entries()) {
    const earlier = needed[k - 1], index = found[kind];
    if (k === 0 || index === undefined || found[earlier] === undefined || found[earlier] < index) continue;
    problems.push({ kind: "order", device, index, message: `${text(kind)} runs before ${text(earlier)}` });
  }
  return problems;
}

/** The devices of a cycle that wait for each other. */
function findDeadlock(stops: readonly Stop[]): ScheduleProblem[] {
  const stopOf = new Map(stops.map((stop) => [stop.device, stop]));
  const path: Stop[] = [];
  let stop = stops.at(0);
  while (stop !== undefined && !path.includes(stop)) {
    path.push(stop);
    stop = stopOf.get(stop.peer);
  }
  const cycle = stop === undefined ? path : path.slice(path.indexOf(stop));
  return cycle.map(({ device, index, message }) => ({ kind: "deadlock", device, index, message }));
}

/** The most activations that each device, and each stage, holds at once. Follows from the order alone. */
function countInFlight({ p, v, devices }: Schedule): Pick<ScheduleReport, "inFlight" | "inFlightOfStage"> {
  const inFlightOfStage = Array<number>(p * v).fill(0);
  const inFlight = devices.map((list) => {
    const current = Array<number>(p * v).fill(0);
    let total = 0, peak = 0;
    for (const { kind, stage } of list) {
      if (kind === "I" || !(stage >= 0 && stage < p * v)) continue;
      const change = kind === "F" ? 1 : -1;
      current[stage] += change;
      total += change;
      peak = Math.max(peak, total);
      inFlightOfStage[stage] = Math.max(inFlightOfStage[stage], current[stage]);
    }
    return peak;
  });
  return { inFlight, inFlightOfStage };
}
