/**
 * What a person sees of a run: a live frame on a terminal, plain lines in a pipe. Pure: text in, text out.
 *
 * @module
 */
import type { DeviceRecord, MetricsRecord, StepRecord } from "../train/mod.ts";

/** What is shown; made by {@link startView}, advanced by {@link updateView}. */
export interface View {
  /** `gpt 4 x 128 on Moby Dick`. */
  readonly title: string;
  /** Steps in all. */
  readonly steps: number;
  /** Finished steps. */
  readonly step: number;
  /** Curve of the losses. */
  readonly losses: LossCurve;
  /** Loss of the latest evaluation. */
  readonly validationLoss: number | undefined;
  /** Gradient norm of the latest step. */
  readonly gradNorm: number;
  /** Learning rate of the latest step. */
  readonly lr: number;
  /** Smoothed throughput. */
  readonly tokensPerSecond: number;
  /** Smoothed milliseconds of a step; undefined before the first. */
  readonly stepMs: number | undefined;
  /** Smoothed times and latest bytes. */
  readonly devices: readonly DeviceRecord[];
  /** Cap of the memory of one device. */
  readonly deviceMemoryBytes: number;
  /** Last line: what the user can do now. */
  readonly hint: string;
}

/** Losses of all steps in bounded space: means of `stepsPerMean` steps each, which doubles when there are many. */
export interface LossCurve {
  /** Means of consecutive steps. */
  readonly means: readonly number[];
  /** Steps in each mean. */
  readonly stepsPerMean: number;
  /** Losses that make no mean yet. */
  readonly rest: readonly number[];
  /** Loss of the latest step. */
  readonly last: number | undefined;
}

const MAX_MEANS = 256;

/** Weight of the newest step in smoothed figures. */
const NEWEST = 0.15;
const SPARK = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588";
const FULL = "\u2588", MEDIUM = "\u2592", EMPTY = "\u2591";

/**
 * The view before the first step.
 *
 * @param losses Losses of the steps that a resumed run has done already.
 */
export function startView(
  start: Pick<View, "title" | "steps" | "deviceMemoryBytes"> & Partial<Pick<View, "hint">>,
  losses: readonly number[] = [],
): View {
  const empty: LossCurve = { means: [], stepsPerMean: 1, rest: [], last: undefined };
  return {
    step: losses.length,
    losses: losses.reduce(addLoss, empty),
    validationLoss: undefined,
    gradNorm: 0,
    lr: 0,
    tokensPerSecond: 0,
    stepMs: undefined,
    devices: [],
    hint: "Ctrl-C saves a checkpoint and stops",
    ...start,
  };
}

/** The view after a record. */
export function updateView(view: View, record: MetricsRecord): View {
  if (record.type === "eval") return { ...view, validationLoss: record.loss };
  if (record.type === "done") return { ...view, tokensPerSecond: record.tokensPerSecond };
  return {
    ...view,
    step: record.step + 1,
    losses: addLoss(view.losses, record.loss),
    gradNorm: record.gradNorm,
    lr: record.lr,
    stepMs: smooth(view.stepMs, record.stepMs),
    tokensPerSecond: record.tokens / smooth(view.stepMs, record.stepMs) * 1000,
    devices: record.devices.map((device, i) => smoothDevice(view.devices.at(i), device)),
  };
}

/** The frame as lines, none longer than `width`. */
export function renderFrame(view: View, width: number): string[] {
  const lines = [
    view.title,
    progressLine(view, width),
    lossLine(view, width),
    joinFitting([
      `${formatCount(view.tokensPerSecond)} tokens/s`,
      view.stepMs === undefined ? "" : `${formatMs(view.stepMs)} a step`,
      `lr ${view.lr.toExponential(1)}`,
      `gradient norm ${view.gradNorm.toFixed(2)}`,
    ], width),
    ...view.devices.map((device) => deviceLine(device, view.deviceMemoryBytes, width)),
    view.hint,
  ];
  return lines.filter((line) => line !== "").map((line) => cut(line, width));
}

/**
 * The line for a record in a pipe, or undefined if this step is not worth a line: about forty are printed over
 * a run, among them the first and the last.
 */
export function plainLine(view: View, record: MetricsRecord): string | undefined {
  if (record.type === "eval") return `after ${record.step} steps: validation loss ${record.loss.toFixed(4)}`;
  if (record.type === "done") {
    const speed = `${formatCount(record.tokensPerSecond)} tokens/s`;
    return `done: ${record.steps} steps, ${speed}, loss hash ${record.lossHash}`;
  }
  return isPrinted(record, view.steps) ? stepLine(view, record) : undefined;
}

/** Text of a duration: `0:07`, `12:05`, `1:02:03`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60, hours = Math.floor(seconds / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** `width` bars for values: means of equal parts, scaled from the smallest to the largest. */
export function sparkline(values: readonly number[], width: number): string {
  const finite = values.filter(Number.isFinite);
  const numBars = Math.min(width, finite.length);
  if (numBars <= 0) return "";
  const means = Array.from({ length: numBars }, (_, i) => {
    const part = finite.slice(
      Math.floor(i * finite.length / numBars),
      Math.floor((i + 1) * finite.length / numBars),
    );
    return meanOf(part);
  });
  const low = Math.min(...means), range = Math.max(...means) - low;
  return means.map((mean) => SPARK[range === 0 ? 0 : Math.round((mean - low) / range * 7)]).join("");
}

function stepLine(view: View, record: StepRecord): string {
  const left = remainingMs(view);
  return [
    `step ${record.step + 1}/${view.steps}`,
    `loss ${record.loss.toFixed(4)}`,
    `gradient norm ${record.gradNorm.toFixed(3)}`,
    `lr ${record.lr.toExponential(2)}`,
    `${formatCount(view.tokensPerSecond)} tokens/s`,
    ...(left === undefined ? [] : [`${formatDuration(left)} left`]),
  ].join("  ");
}

function isPrinted({ step }: StepRecord, steps: number): boolean {
  const every = Math.max(1, Math.ceil(steps / 40));
  return step === 0 || step === steps - 1 || (step + 1) % every === 0;
}

function progressLine(view: View, width: number): string {
  const share = view.steps === 0 ? 1 : view.step / view.steps;
  const left = remainingMs(view);
  const text = joinFitting([
    `${String(Math.floor(share * 100)).padStart(3)} %`,
    `step ${view.step}/${view.steps}`,
    left === undefined ? "" : `${formatDuration(left)} left`,
  ], width);
  const barWidth = Math.min(40, width - text.length - 2);
  return barWidth < 5 ? text : `${bar([[FULL, share]], barWidth)}  ${text}`;
}

function lossLine(view: View, width: number): string {
  const { means, rest, last } = view.losses;
  if (last === undefined) return "waiting for the first step";
  const validation = view.validationLoss === undefined ? "" : `validation ${view.validationLoss.toFixed(3)}`;
  const text = joinFitting([`loss ${last.toFixed(3)}`, validation], width);
  const sparkWidth = Math.min(60, width - text.length - 2);
  return sparkWidth < 5 ? text : `${text}  ${sparkline([...means, ...rest.slice(-1)], sparkWidth)}`.trimEnd();
}

function deviceLine(device: DeviceRecord, capBytes: number, width: number): string {
  const { rank, computeMs, copyMs, waitMs, peakBytes } = device;
  const all = Math.max(computeMs + copyMs + waitMs, 1e-9);
  const memory = peakBytes / capBytes;
  const percent = (share: number) => `${String(Math.round(share * 100)).padStart(3)} %`;
  const name = `device ${rank}`;
  const text = joinFitting([
    `compute ${percent(computeMs / all)}`,
    `wait ${percent(waitMs / all)}`,
    `memory ${formatMiB(peakBytes)} of ${formatMiB(capBytes)} MiB`,
  ], width - name.length - 2);
  const room = width - name.length - text.length - 6;
  const barWidth = Math.min(20, Math.floor(room / 2));
  if (barWidth < 4) return `${name}  ${text}`;
  const time = bar([[FULL, computeMs / all], [MEDIUM, copyMs / all]], barWidth);
  return `${name}  ${time}  ${text}  ${bar([[FULL, memory]], barWidth)}`;
}

/** A bar of shares, each with its character; what they leave is empty. */
function bar(parts: readonly (readonly [string, number])[], width: number): string {
  let text = "", sum = 0;
  for (const [char, share] of parts) {
    sum += share;
    text += char.repeat(Math.max(0, Math.min(width, Math.round(sum * width)) - text.length));
  }
  return text.padEnd(width, EMPTY);
}

/** As many of the texts, from the first, as fit side by side. */
function joinFitting(texts: readonly string[], width: number): string {
  let line = "";
  for (const text of texts) {
    if (text === "") continue;
    const longer = line === "" ? text : `${line}  ${text}`;
    if (longer.length > width) break;
    line = longer;
  }
  return line;
}

function addLoss(curve: LossCurve, loss: number): LossCurve {
  const rest = [...curve.rest, loss];
  if (rest.length < curve.stepsPerMean) return { ...curve, rest, last: loss };
  const means = [...curve.means, meanOf(rest)];
  if (means.length < MAX_MEANS) return { ...curve, means, rest: [], last: loss };
  const halved = Array.from({ length: means.length / 2 }, (_, i) => meanOf([means[2 * i], means[2 * i + 1]]));
  return { means: halved, stepsPerMean: 2 * curve.stepsPerMean, rest: [], last: loss };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Every character used here is one column wide. */
function cut(line: string, width: number): string {
  const chars = [...line];
  return chars.length <= width ? line : chars.slice(0, Math.max(0, width)).join("");
}

function remainingMs(view: View): number | undefined {
  return view.stepMs === undefined ? undefined : (view.steps - view.step) * view.stepMs;
}

function smooth(before: number | undefined, now: number): number {
  return before === undefined ? now : before + NEWEST * (now - before);
}

function smoothDevice(before: DeviceRecord | undefined, now: DeviceRecord): DeviceRecord {
  return {
    ...now,
    computeMs: smooth(before?.computeMs, now.computeMs),
    copyMs: smooth(before?.copyMs, now.copyMs),
    waitMs: smooth(before?.waitMs, now.waitMs),
  };
}

function formatCount(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  return count >= 1e4 ? `${(count / 1e3).toFixed(1)}k` : count.toFixed(0);
}

function formatMs(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

function formatMiB(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
