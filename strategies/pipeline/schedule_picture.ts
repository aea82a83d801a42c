/**
 * Draws a pipeline schedule: one row per device, one cell per unit of time, bubbles as dots.
 *
 * ```text
 * 1f1b p=2 m=3 v=1
 *  0 | F0 F1 .  .  B0--- F2 B1--- .  B2---
 *  1 | .  F0 B0--- F1 B1--- F2 B2--- .  .
 * bubble 25.0 %, 12 units of time, in flight 2 1
 * ```
 *
 * A schedule that cannot run is drawn with a mark under each bad cell and the reasons below.
 */
import type { Instruction, Schedule } from "./schedule.ts";
import { checkSchedule, type ScheduleProblem, type ScheduleReport } from "./schedule_check.ts";
import { formatInstruction } from "./schedule_text.ts";
import { UNIT_TIMES } from "./schedule_timeline.ts";

/** How a schedule is drawn. */
export interface PictureOptions {
  /** Longest line; longer schedules go on in a further band of rows. By default 110. */
  readonly width?: number;
  /** Messages that a channel holds, for the check; by default any number. */
  readonly channelSlots?: number;
}

/** Reasons that are spelled out under a bad schedule; their number follows. */
const MAX_REASONS = 8;

/** One unit of time of one device. */
interface Cell {
  readonly text: string;
  /** Whether the instruction goes on in the next cell. */
  readonly goesOn: boolean;
  /** Number of the problem that is marked under this cell. */
  readonly mark?: number;
}

/**
 * Draws a schedule with unit times (F = 1, B = 2, I = 1, W = 1), checked on the way. With one stage per device the
 * number of the stage is left out (`F0` for `2F0`), unless something is wrong.
 *
 * If the schedule stops in a deadlock, or passes are missing, its lists are drawn without bubbles.
 *
 * @returns Several lines, the last one with bubble and in-flight activations per device; no newline at the end.
 */
export function drawSchedule(schedule: Schedule, options: PictureOptions = {}): string {
  const { channelSlots } = options;
  const report = checkSchedule(schedule, { channelSlots });
  const rows = layOut(report);
  const cellWidth = 1 + Math.max(2, ...rows.flat().map((cell) => cell.text.length));
  const label = String(schedule.p - 1).length + 1;
  const numUnits = rows.reduce((longest, row) => Math.max(longest, row.length), 0);
  const numFitting = Math.max(1, Math.floor(((options.width ?? 110) - label - 3) / cellWidth));
  const numColumns = Math.ceil(numUnits / Math.ceil(numUnits / numFitting));
  const { name, p, m, v } = schedule;
  const lines = [`${name} p=${p} m=${m} v=${v}`];
  for (let start = 0; start < numUnits; start += numColumns) {
    if (numUnits > numColumns) lines.push(`from ${start}`);
    for (const [device, row] of rows.entries()) {
      const cells = Array.from(
        { length: Math.min(numColumns, numUnits - start) },
        (_, i) => row[start + i] ?? (report.isComplete ? BUBBLE : NOTHING),
      );
      lines.push(`${String(device).padStart(label)} | ${drawCells(cells, cellWidth)}`.trimEnd());
      if (cells.every((cell) => cell.mark === undefined)) continue;
      lines.push(`${" ".repeat(label)}   ${drawMarks(cells, cellWidth)}`.trimEnd());
    }
  }
  return [...lines, ...summarise(report)].join("\n");
}

const BUBBLE: Cell = { text: ".", goesOn: false };
const NOTHING: Cell = { text: "", goesOn: false };

/** Cells of every device over time, or in order if there is no time at which all run. */
function layOut({ schedule, problems, timeline, isComplete }: ReturnType<typeof checkSchedule>): Cell[][] {
  const isShort = schedule.v === 1 && problems.length === 0;
  return schedule.devices.map((list, device) => {
    const cells: Cell[] = [];
    const markOf = (index: number) => {
      const number = problems.findIndex((problem) => problem.device === device && problem.index === index);
      return number < 0 ? undefined : number + 1;
    };
    for (const [index, instruction] of list.entries()) {
      if (isComplete) { while (cells.length < timeline[device][index].start) cells.push(BUBBLE); }
      cells.push(
        ...cellsOf(
          instruction,
          { isShort, numUnits: isComplete ? UNIT_TIMES[instruction.kind] : 1 },
          markOf(index),
        ),
      );
    }
    const mark = markOf(list.length);
    return mark === undefined ? cells : [...cells, { text: "?", goesOn: false, mark }];
  });
}

function cellsOf(
  instruction: Instruction,
  { isShort, numUnits }: { readonly isShort: boolean; readonly numUnits: number },
  mark: number | undefined,
): Cell[] {
  const text = isShort ? `${instruction.kind}${instruction.microBatch}` : formatInstruction(instruction);
  return Array.from({ length: numUnits }, (_, i) => {
    const goesOn = i + 1 < numUnits;
    return i === 0 ? { text, goesOn, mark } : { text: "-", goesOn };
  });
}

function drawCells(cells: readonly Cell[], width: number): string {
  return cells.map(({ text, goesOn }) => {
    if (goesOn) return text.padEnd(width, "-");
    return (text === "-" ? "-".repeat(width - 1) : text).padEnd(width);
  }).join("");
}

function drawMarks(cells: readonly Cell[], width: number): string {
  return cells.map(({ mark }) => (mark === undefined ? "" : `^${mark}`).padEnd(width)).join("");
}

function summarise({ problems, isComplete, makespan, bubble, inFlight }: ScheduleReport): string[] {
  if (problems.length === 0) {
    const held = inFlight.join(" ");
    return [`bubble ${(100 * bubble).toFixed(1)} %, ${makespan} units of time, in flight ${held}`];
  }
  const reasons = problems.slice(0, MAX_REASONS).map(drawReason);
  if (problems.length > MAX_REASONS) reasons.push(`... and ${problems.length - MAX_REASONS} more`);
  const order = isComplete ? "" : "; drawn in order, without bubbles";
  return [...reasons, `cannot run: ${problems.length} problem${problems.length > 1 ? "s" : ""}${order}`];
}

function drawReason({ kind, device, message }: ScheduleProblem, index: number): string {
  return `^${index + 1} ${kind}, device ${device}: ${message}`;
}
